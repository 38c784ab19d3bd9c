-- One row: the day and moment of the figures. Published, so that macros know them later.
-- as_of: The day the tables are of, in Santiago.
-- as_of_time: The moment they are of.
SELECT getvariable('as_of') AS as_of, getvariable('as_of_time') AS as_of_time
