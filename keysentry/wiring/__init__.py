"""Options in, objects out: the only place that builds everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from keysentry.config import Config, SourceConfig, load_config
from keysentry.connectors import Platform, platform
from keysentry.connectors.base import Source, SourceOptions
from keysentry.errors import ConfigError
from keysentry.installation import key
from keysentry.scan import Scanner
from keysentry.scan.options import ScannerOptions
from keysentry.service.daemon import Plan
from keysentry.service.loop import SourceSpec
from keysentry.store import open_store
from keysentry.store.base import Store
from keysentry.store.options import StoreOptions
from keysentry.store.sealing import Sealer

Notice = Callable[[str], None]


def scanner_of(options: ScannerOptions, notice: Notice | None = None) -> Scanner:
    """The Scanner that a configuration describes. Raises `ConfigError` and `RulePackError`."""
    return Scanner.load(
        pack=options.pack or None,
        rule_files=options.rules,
        engine=options.engine,
        min_confidence=options.min_confidence,
        notice=notice,
    )


def store_of(options: StoreOptions, sealer: Sealer | None = None) -> Store:
    """The store, open. Raises `StoreError`."""
    return open_store(options.url, key=key(), sealer=sealer)


def plan_of(path: Path | None, environment: Mapping[str, str], notice: Notice | None = None) -> tuple[Config, Plan]:
    """What a daemon is to do. Raises `ConfigError` if the configuration has faults, names no source, or one whose
    packages are not installed.
    """
    config = load_config(path, environment=environment)
    if not config.sources:
        raise ConfigError(
            "there is no source to read",
            place=str(config.origin.file),
            advice="add one: keysentry config init shows how",
        )
    specs = [_spec(source, path, environment) for source in config.sources]
    plan = Plan(scanner_of(config.scan, notice), specs, config.watch)
    if not config.acting.present:
        return config, plan
    from keysentry.wiring.acting import hands_of, policy_of, worker_of

    hands_of(config).close()  # so that what does not fit together is told before anything begins
    return config, plan._replace(
        policy=policy_of(config), worker=lambda store, journal: worker_of(config, store, journal)
    )


def _spec(source: SourceConfig, path: Path | None, environment: Mapping[str, str]) -> SourceSpec:
    kind = platform(source.platform)
    kind.load()  # so that a missing extra is told before anything begins
    known = source.options
    opened = False

    def open_source() -> Source:
        """Open it; later on with what the configuration says then, since a token in a file may have been renewed."""
        nonlocal opened
        options = _renewed(known, path, environment) if opened else known
        opened = True
        return kind.load().open_source(options)

    return SourceSpec(source.platform, known, open_source)


def _renewed(options: SourceOptions, path: Path | None, environment: Mapping[str, str]) -> SourceOptions:
    try:
        config = load_config(path, environment=environment)
    except ConfigError:
        return options
    return next((one.options for one in config.sources if one.name == options.name), options)


def target_source(
    kind: Platform, target: str, path: Path | None, environment: Mapping[str, str]
) -> tuple[Source, SourceOptions]:
    """The source that a target of the command line names, with the credentials of the environment or, where the
    configuration has a source of this platform, with its settings.

    Raises `ConfigError` for a target that cannot be understood or a credential that is missing.
    """
    from keysentry.config import options_for_target

    module = kind.load()
    options = options_for_target(kind.name, module.target_options(target), path, environment=environment)
    return module.open_source(options), options
