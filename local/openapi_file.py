"""Writes docs/openapi.json from the code (`make openapi`): the document that `GET /api/openapi.json` gives out."""

import json
import logging
from pathlib import Path
from typing import Any, Final

from functions.common.quotas import Quotas
from functions.conversations.routes import Routes

FILE: Final = Path(__file__).parents[1] / "docs/openapi.json"


def text() -> str:
    """The file as it should be."""
    nothing: Any = None  # no route is called, so no store is asked and nothing is logged
    document = Routes(nothing, nothing, Quotas()).openapi_document()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    logging.disable()
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE} is written")
