"""SuperSuit needs tinyscaler, which has no wheels for Python 3.13 and later."""

import sys

collect_ignore = ["test_supersuit.py"] if sys.version_info >= (3, 13) else []
