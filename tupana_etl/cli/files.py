"""``tupana files``: the PDF and XML of one document, kept on this machine."""

from __future__ import annotations

import argparse

from tupana_etl import files, settings
from tupana_etl.cli import output
from tupana_etl.event_loop import run_async


def run(args: argparse.Namespace) -> int:
    named = [kind for kind in files.KINDS if getattr(args, kind)]
    asked = named or list(files.KINDS)
    kept = run_async(files.keep(args.document, settings.load(), asked))
    if args.json:
        output.write_json(
            {
                "document_id": kept.document_id,
                "issuer_rut": kept.issuer_rut,
                "dte_type_code": kept.dte_type_code,
                "folio": kept.folio,
                "files": {kind: str(path) for kind, path in kept.paths.items()},
                "missing": kept.missing,
                "failed": kept.failed,
            }
        )
    else:
        told = {**kept.missing, **kept.failed} | {k: str(p) for k, p in kept.paths.items()}
        for kind, text in sorted(told.items()):
            output.write(output.paragraph(text, indent="     ", first=f"{kind}  "))
    # Many documents have no XML: that is only a failure when it was asked for by name.
    whole = not kept.failed and kept.paths and not (named and kept.missing)
    return 0 if whole else 1
