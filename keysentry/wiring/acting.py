"""Those who act, as a configuration describes them. Nothing connects before it is first needed."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

from keysentry.config import Config
from keysentry.config.acting import NOTIFYING, KindConfig, QuarantineConfig, notifier_module, quarantine_module
from keysentry.connectors.base import Notifier, NotifierOptions, Quarantine
from keysentry.response.act import Telling, Worker
from keysentry.response.base import Revoker, Rotator, Vault
from keysentry.response.hands import Hands
from keysentry.response.notify.messages import Voice
from keysentry.response.notify.texts import Texts
from keysentry.response.outbound import Outbound
from keysentry.response.plan import Policy
from keysentry.response.revoke.base import RevokerOptions, Tools
from keysentry.response.revoke.registry import load_entry_points, registry
from keysentry.response.revoke.table import open_revoker
from keysentry.response.vault.base import VaultOptions, VaultTools
from keysentry.response.vault.hashicorp import Options as HashicorpOptions
from keysentry.response.vault.table import open_vault
from keysentry.response.verify import RuleVerifier
from keysentry.response.words import Words
from keysentry.rules.load import load_rules
from keysentry.rules.schema import RuleSet
from keysentry.store.base import Store
from keysentry.store.sealing import Sealer, read_key


def sealer_of(config: Config) -> Sealer | None:
    """What seals, if a key is configured. Raises `ConfigError` for a key that is none, `SourceError` where the service
    that has it does not answer.
    """
    options = config.acting.options
    keys: list[bytes] = []
    if options.seal_key is not None:
        keys.append(read_key(options.seal_key.reveal(), "response.seal_key"))
    if options.seal_key_service:
        from keysentry.response.vault.keys import seal_keys

        keys += seal_keys(options.seal_key_service, vault=_first_vault(config))
    if not keys:
        return None
    if options.old_seal_keys is not None:
        keys += [read_key(one, "response.old_seal_keys") for one in options.old_seal_keys.reveal().split()]
    return Sealer(list(dict.fromkeys(keys)))


def _first_vault(config: Config) -> HashicorpOptions | None:
    """How to reach HashiCorp Vault: as the first `[[vault]]` of that kind says."""
    options = (one.options for one in config.acting.vaults)
    return next((one for one in options if isinstance(one, HashicorpOptions)), None)


def policy_of(config: Config) -> Policy:
    """What is to be done about findings."""
    return Policy(config.acting.playbooks, {one.name: one.platform for one in config.sources})


def worker_of(config: Config, store: Store, journal: Telling | None = None, name: str = "") -> Worker:
    """The one who carries actions out. Raises `ConfigError`."""
    name = name or f"{socket.gethostname()}:{os.getpid()}"
    return Worker(
        store, hands_of(config, journal), policy_of(config), config.acting.options, name=name, journal=journal
    )


def hands_of(config: Config, journal: Telling | None = None) -> Hands:
    """All that acts. Raises `ConfigError` for options that do not fit together, `MissingExtraError`."""
    acting = config.acting
    outbound = Outbound(acting.outbound)
    rules = load_rules(*config.scan.rules, pack=config.scan.pack or None)
    for fault in load_entry_points():
        if journal is not None:
            journal.tell("warning", "a revoker cannot be loaded", error=str(fault))
    revokers = _revokers(config, rules, outbound)
    notifiers = {one.name: _notifier(one) for one in acting.notifiers}
    folder = Path(acting.options.templates) if acting.options.templates else None
    voice = Voice(texts=Texts(folder), language=acting.options.language, contact=acting.options.contact)
    return Hands(
        words=Words(voice),
        quarantines={one.options.source: _quarantine(one, config) for one in acting.quarantines},
        notifiers=notifiers,
        authors=_authors(config),
        languages={one.name: cast(NotifierOptions, one.options).language for one in acting.notifiers},
        revokers=revokers,
        rotators=[*registry.rotators, *(cast(Rotator, one) for one in revokers if hasattr(one, "rotate"))],
        vaults={one.name: _vault(one, outbound) for one in acting.vaults},
        verifier=RuleVerifier(rules, outbound),
    )


def _quarantine(configured: QuarantineConfig, config: Config) -> Callable[[], Quarantine]:
    source = next(one.options for one in config.sources if one.name == configured.options.source)
    return lambda: quarantine_module(configured.platform).open_quarantine(configured.options, source)


def _notifier(configured: KindConfig) -> Callable[[], Notifier]:
    options = cast(NotifierOptions, configured.options)
    return lambda: notifier_module(configured.kind).open_notifier(options)


def _authors(config: Config) -> dict[str, str]:
    """Who reaches the authors of each source: the first notifier of its platform, else the first one of mail."""
    found: dict[str, str] = {}
    mail = next((one.name for one in config.acting.notifiers if one.kind == "email"), "")
    for source in config.sources:
        native = (one.name for one in config.acting.notifiers if NOTIFYING.get(one.kind) == source.platform)
        name = next(native, mail)
        if name:
            found[source.name] = name
    return found


def _revokers(config: Config, rules: RuleSet, outbound: Outbound) -> list[Revoker]:
    """Those of the configuration, those of Python, and the rules' own requests."""
    tools = Tools(outbound, rules)
    found = [open_revoker(cast(RevokerOptions, one.options), tools) for one in config.acting.revokers]
    found += registry.revokers
    if not any(one.kind == "declared" for one in config.acting.revokers):
        from keysentry.response.revoke.declared import Options

        found.append(open_revoker(Options(name="declared"), tools))
    return found


def _vault(configured: KindConfig, outbound: Outbound) -> Callable[[], Vault]:
    return lambda: open_vault(cast(VaultOptions, configured.options), VaultTools(outbound))
