"""What the object stores have in common: S3, Google Cloud Storage and Azure Blob differ only in their clients."""

from keysentry.connectors.objects.options import ObjectOptions
from keysentry.connectors.objects.source import ObjectSource
from keysentry.connectors.objects.store import ObjectStore

__all__ = ["ObjectOptions", "ObjectSource", "ObjectStore"]
