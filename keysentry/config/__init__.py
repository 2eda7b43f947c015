"""The configuration: `keysentry.toml` and the environment, taken apart into each part's own Options.

This is the only reader of either. `load_config` gives everything that a daemon is told; `load_outline` the little that
a command needs which only reads the store; `options_for_target` the options of a source that the command line names.
Faults are gathered and told together (`ConfigFaults`), each with its file,
line, table and key.

Invariants.

- No credential stands in the file: there are references (`env:NAME`, `file:/path`), and a literal one is a fault whose
  value is told to nobody.
- Relative paths start from the configuration's own folder.
- No SDK is imported: a configuration can be linted and shown where the extras are not installed.
"""

from __future__ import annotations

from keysentry.config.decode import Setting
from keysentry.config.document import FILE, Origin
from keysentry.config.faults import ConfigFaults, Fault
from keysentry.config.fields import Field, field_docs, fields_of
from keysentry.config.lint import lint
from keysentry.config.load import (
    Config,
    Declared,
    Outline,
    Reading,
    SourceConfig,
    load_config,
    load_outline,
    read_config,
)
from keysentry.config.platforms import platform_options
from keysentry.config.targets import options_for_target

__all__ = [
    "FILE",
    "Config",
    "ConfigFaults",
    "Declared",
    "Fault",
    "Field",
    "Origin",
    "Outline",
    "Reading",
    "Setting",
    "SourceConfig",
    "field_docs",
    "fields_of",
    "lint",
    "load_config",
    "load_outline",
    "options_for_target",
    "platform_options",
    "read_config",
]
