"""Names that people give to columns and rows of secrets, in the languages that they write them in.

A cell under `Passwort` or beside `API key:` is what such a name says, though nothing in the cell itself tells it.
`meaning` turns such a name into the word that the rules for named values know.

Algorithm. A name is taken apart into words (small letters, `dbPassword` as `db password`). It means a secret if one of
its words, or a run of them, is in the table, and none of its words says that it is about the secret rather than it:
`Password expires`, `Token type`, `Key ID`. Some words mean a secret only among others: a `Clave` is a password beside
a `Usuario` and an item's code in a price list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

Meaning = Literal["password", "api_key", "token", "secret", ""]

LONGEST: Final = 60
"""A name has no more characters than this."""
_MOST_WORDS = 6


class _Names(NamedTuple):
    """Names with one meaning: words, runs of words, and what is part of a word in writing without spaces."""

    meaning: Meaning
    words: frozenset[str]
    runs: tuple[str, ...]
    signs: tuple[str, ...]


def _words(*lists: str) -> frozenset[str]:
    return frozenset(word for one in lists for word in one.split())


def _runs(*lists: str) -> tuple[str, ...]:
    return tuple(run for one in lists for run in one.split(", "))


_TABLE: Final = (
    _Names(
        "password",
        _words(
            "password passwords passwd passphrase passcode pwd pwds psw",
            "passwort passwörter passwoerter kennwort kennwörter kennwoerter wachtwoord wachtwoorden",
            "contraseña contraseñas contrasena contrasenas senha senhas mdp parolă",
            "hasło hasła haslo hasla пароль пароли heslo lozinka jelszó şifre sifre",
            "lösenord lösenordet adgangskode passord salasana",
        ),
        _runs(
            "pass word, pass phrase, pass code, mot de passe, mots de passe, palavra passe, palabra clave",
            "parola d ordine, clave de acceso, clave acceso, clave wifi, clave wi fi, codice di accesso",
        ),
        _runs("비밀번호, 비번, 암호, 패스워드, パスワード, パスコード, 暗証, 密码, 密碼, 口令"),
    ),
    _Names(
        "api_key",
        frozenset(),
        _runs(
            "api key, api keys, apikey, apikeys, access key, access keys, secret key, secret access key, private key",
            "encryption key, signing key, master key, license key, licence key, auth key, account key, service key",
            "ssh key, shared key, storage key, webhook key, subscription key, app key, application key, consumer key",
            "wpa key, wifi key, wi fi key, api schlüssel, api schluessel, zugriffsschlüssel, geheimer schlüssel",
            "privater schlüssel, clé api, clé d api, cle api, clé secrète, clé privée, clave api, clave de api",
            "clave secreta, clave privada, llave api, chave api, chave de api, chave da api, chave secreta",
            "chave privada, chiave api, chiave segreta, chiave privata, api sleutel, geheime sleutel, klucz api",
            "tajny klucz, klucz prywatny, ключ api, api ключ, секретный ключ, приватный ключ, закрытый ключ",
            "ключ доступа",
        ),
        _runs("api키, 액세스키, 비밀키, 개인키, apiキー, アクセスキー, 秘密鍵, 密钥, 密鑰, 金鑰"),
    ),
    _Names(
        "token",
        _words("token tokens authtoken accesstoken jeton jetons токен токены"),
        (),
        _runs("토큰, トークン, 令牌"),
    ),
    _Names(
        "secret",
        _words(
            "secret secrets clientsecret credential credentials geheimnis geheimnisse zugangsdaten",
            "secreto secretos segredo segredos segreto segreti credenciales credenciais credenziali identifiants",
            "sekret sekrety секрет секреты",
        ),
        (),
        _runs("시크릿, シークレット, 秘密, 机密, 凭据, 憑證, 認証情報, 자격증명"),
    ),
)
_ENDS: Final = ("password", "passwort", "kennwort", "wachtwoord", "passphrase", "passwd")
"""What a compound word ends with that means a password: `Administratorpasswort`."""
_WEAK: Final = _words("clave claves chave chaves chiave schlüssel schluessel pass pw parola clé cle sleutel klucz ключ")
"""What means a password only where another name of the row is that of a user, an account or a machine."""
_USER: Final = _words(
    "user username users usuario usuarios login logon benutzer benutzername anwender utente utilisateur identifiant",
    "gebruiker gebruikersnaam użytkownik uzytkownik пользователь логин account konto cuenta compte conta email mail",
    "correo host hostname server servidor serveur website",
)
_USER_SIGNS: Final = _runs("用户, 用戶, 账号, 帳號, ユーザ, アカウント, 사용자, 아이디, 계정, 로그인")
_ABOUT: Final = _words(
    "id ids name names type types kind count counts number length len size hint hints policy policies age last",
    "changed change changes expires expire expired expiry expiration valid validity until date created updated",
    "modified rotated rotation rotate status state strength level required requirement reset forgot forgotten",
    "recovery question history manager owner field column scope scopes usage used limit limits price cost symbol",
    "supply per santa rule rules strategy contract holder version format method algorithm hash hashed encrypted masked",
    "typ geändert geaendert ablauf ablaufdatum läuft abgelaufen gültig gueltig richtlinie hinweis änderung aenderung",
    "datum länge stärke cambio cambiada caduca caducidad vence vencimiento fecha expira expiración pista política",
    "expiração validade data modifié modifiée indice politique scadenza scade cambiata verloopt gewijzigd",
    "wygasa zmiana zmieniono истекает срок изменен изменён дата подсказка",
)
"""Words of names that are about a secret and not the secret's own."""
_ABOUT_SIGNS: Final = _runs(
    "만료, 변경, 힌트, 암호화, 有効期限, 変更, 更新, ヒント, 暗号化, 过期, 到期, 修改, 期限, 提示, 强度, 強度"
)
STEMS: Final = (
    *(
        "pass",
        "pwd",
        "psw",
        r"\bpw\b",
        "kennw",
        "wachtw",
        "contrase",
        "senha",
        "mdp",
        "mot de",
        "mots de",
        "palabra clave",
    ),
    *(
        "parol",
        "codice",
        "has\u0142",
        "HAS\u0141",
        "haslo",
        "hasla",
        "heslo",
        "lozinka",
        "jelsz",
        "ifre",
        "senord",
        "salasana",
    ),
    *(
        "adgangskode",
        "парол",
        "Парол",
        "ПАРОЛ",
        r"\bkey\b",
        r"\bkeys\b",
        "apikey",
        "_key",
        "schl\u00fcssel",
        "SCHL\u00dcSSEL",
    ),
    *(
        "schluessel",
        "cl\u00e9",
        "CL\u00c9",
        r"\bcle\b",
        "clave",
        "llave",
        "chave",
        "chiave",
        "sleutel",
        "klucz",
        "ключ",
    ),
    *("Ключ", "КЛЮЧ", "token", "jeton", "токен", "Токен", "ТОКЕН", "secret", "segre", "geheim", "sekret", "секрет"),
    *("Секрет", "СЕКРЕТ", "credential", "credenci", "credenzi", "identifiants", "zugangsdaten"),
    *(sign for names in _TABLE for sign in names.signs),
)
"""One of these is in every name that means a secret, in whatever case its ASCII letters are. `\\b` is the edge of a
word; the rest is plain."""

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-zß-öø-ÿ0-9])(?=[A-ZÀ-ÖØ-Þ])")


def _words_of(name: str) -> list[str]:
    from unicodedata import normalize

    return _WORD.findall(_HUMP.sub(" ", normalize("NFKC", name)).casefold())


@lru_cache(4096)
def meaning(name: str) -> Meaning:
    """What a name says that a value is: one of the words that the rules know, or nothing."""
    if len(name) > LONGEST:
        return ""
    words = _words_of(name)
    joined, run = "".join(words), f" {' '.join(words)} "
    if not words or len(words) > _MOST_WORDS or not _ABOUT.isdisjoint(words):
        return ""
    if any(sign in joined for sign in _ABOUT_SIGNS):
        return ""
    for names in _TABLE:
        if not names.words.isdisjoint(words) or any(f" {one} " in run for one in names.runs):
            return names.meaning
        if any(sign in joined for sign in names.signs):
            return names.meaning
    return "password" if any(word.endswith(_ENDS) for word in words) else ""


def meanings(row: Iterable[str]) -> list[Meaning]:
    """What each name of a row of headings says; the others help with those that mean a secret only among them."""
    names = list(row)
    found = [meaning(name) for name in names]
    if not any(map(_is_weak, names)) or not any(map(_is_user, names)):
        return found
    return ["password" if not one and _is_weak(name) else one for name, one in zip(names, found, strict=True)]


def _is_weak(name: str) -> bool:
    words = _words_of(name) if len(name) <= LONGEST else []
    return len(words) == 1 and words[0] in _WEAK


def _is_user(name: str) -> bool:
    words = _words_of(name) if len(name) <= LONGEST else []
    return not _USER.isdisjoint(words) or any(sign in "".join(words) for sign in _USER_SIGNS)
