"""From texts, records and files to findings: the Scanner."""

from keysentry.scan.options import FileOptions, OnProgress, Progress
from keysentry.scan.run import Scan
from keysentry.scan.scanner import Scanner

__all__ = ["FileOptions", "OnProgress", "Progress", "Scan", "Scanner"]
