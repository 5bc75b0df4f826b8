"""What more than one function must agree on: wire records, table keys, ids, access, the logger, the way to AWS."""

from typing import Final

VERSION: Final = "0.1.0"
