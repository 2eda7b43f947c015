"""Everything that can be said of a configuration, beyond what stops it from loading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from keysentry.config.faults import Fault
from keysentry.config.load import Config, Reading
from keysentry.config.platforms import missing_extra
from keysentry.config.variables import misspelt
from keysentry.errors import ConfigError, RulePackError
from keysentry.response.notify.webhook import Options as WebhookOptions
from keysentry.response.notify.webhook import warnings as webhook_warnings


def lint(reading: Reading, environment: Mapping[str, str]) -> Iterator[tuple[str, Fault]]:
    """Everything that can be said of a configuration: ("error" or "warning", what it is)."""
    yield from (("error", fault) for fault in reading.faults)
    config = reading.config
    if config is not None:
        yield from (("error", fault) for fault in _rule_faults(config))
        yield from (("error", fault) for fault in _text_faults(config))
    yield from (("warning", fault) for fault in (*reading.missing, *reading.warnings))
    if config is not None:
        yield from (("warning", fault) for fault in _could_be_better(config))
    for name, advice in misspelt(environment, _used(reading)):
        yield "warning", Fault(file=name, reason="keysentry knows no such variable", advice=advice)


def _rule_faults(config: Config) -> Iterator[Fault]:
    """What stops the rule files from loading."""
    from keysentry.rules.load import load_rules

    try:
        load_rules(*config.scan.rules, pack=None)
    except RulePackError as pack:
        for error in pack.errors:
            yield Fault(file=config.origin.file, table="scan", key="rules", reason=str(error))
    except ConfigError as error:
        yield Fault(file=config.origin.file, table="scan", key="rules", reason=str(error))


def _text_faults(config: Config) -> Iterator[Fault]:
    """What is wrong with texts that replace the built-in ones."""
    if not config.acting.options.templates:
        return
    from keysentry.response.notify.texts import Texts

    for error in Texts(Path(config.acting.options.templates)).faults():
        yield Fault(file=error.place or config.origin.file, reason=error.reason, advice=error.advice)


def _could_be_better(config: Config) -> Iterator[Fault]:
    file = config.origin.file
    if not config.sources:
        advice = "keysentry config init --platform NAME shows what one looks like"
        yield Fault(file=file, reason="there is no source, so that keysentry watch has nothing to read", advice=advice)
    for notifier in config.acting.notifiers:
        if isinstance(notifier.options, WebhookOptions):
            for text in webhook_warnings(notifier.options):
                yield Fault(file=file, table="notifier", reason=text)
    observing = [one.name for one in config.acting.playbooks if one.mode == "observe"]
    if observing and len(observing) == len(config.acting.playbooks):
        advice = 'mode = "approve" waits for a person, mode = "enforce" acts'
        yield Fault(file=file, table="playbook", key="mode", reason="every playbook only observes", advice=advice)
    for platform in dict.fromkeys(source.platform for source in config.sources):
        advice = missing_extra(platform)
        if advice:
            yield Fault(file=file, reason=f"the packages that {platform} needs are not installed", advice=advice)


def _used(reading: Reading) -> set[str]:
    """The variables that sources look at, or that a reference names."""
    named = {setting.origin.removeprefix("env:") for setting in reading.settings}
    return named | {name for setting in reading.settings for name in setting.field.variables}
