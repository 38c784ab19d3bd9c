"""Where an asset's code stands: the SQL file of a model, the declaration of a stream."""

import inspect
import re
import warnings
from pathlib import Path

import dagster as dg

from tupana_etl import streams
from tupana_etl.warehouse.model_files import Model

# Code references are beta. The lock pins Dagster, and a test reads them back.
warnings.filterwarnings("ignore", "Class `LocalFileCodeReference`", dg.BetaWarning)
warnings.filterwarnings("ignore", "Class `CodeReferencesMetadataValue`", dg.BetaWarning)

Metadata = dict[str, dg.CodeReferencesMetadataValue]


def of_stream(stream: streams.Stream) -> Metadata:
    path = Path(inspect.getfile(streams))
    text = path.read_text(encoding="utf-8")
    declared = re.search(rf'Stream\(\s*"{stream.name}"', text)
    return _reference(path, text[: declared.start()].count("\n") + 1 if declared else 1)


def of_model(model: Model) -> Metadata:
    return _reference(model.path, 1)


def _reference(path: Path, line: int) -> Metadata:
    """Metadata that becomes "Open in editor" on the asset's page."""
    place = dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=path.name)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[place])}
