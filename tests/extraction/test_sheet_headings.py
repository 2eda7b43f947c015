"""Names of columns: those that mean a secret do so in every language, those about a secret do not."""

from __future__ import annotations

import re

import pytest

from keysentry.extraction.formats import headings
from keysentry.extraction.formats.headings import STEMS, meaning, meanings

PASSWORDS = """
    Password|PASSWORD|passwords|Admin password|db_password|dbPassword|Password:|root-password (prod)|Passphrase|PWD
    Passwort|Kennwort|WLAN-Passwort|Administratorpasswort|Initiales Kennwort|Wachtwoord|Beheerderswachtwoord
    Contraseña|CONTRASEÑA|Contraseñas|Nueva contraseña|Clave de acceso|Mot de passe|Mots de passe|MOT DE PASSE
    Senha|Senha do banco|Hasło|HASŁO|Пароль|ПАРОЛЬ|пароль от почты|Heslo|Jelszó|Lösenord
    비밀번호|초기 비밀번호|パスワード|初期パスワード|密码|登录密码|密碼
"""
KEYS = """
    API key|API-Key|api_key|apiKey|ApiKey|APIKEY|Secret access key|AWS Secret Access Key|Private key|Encryption key
    API-Schlüssel|API-SCHLÜSSEL|Clé API|Clé d'API|Clave API|Clave secreta|Chave de API|Chiave API|Klucz API|Ключ API
    APIキー|アクセスキー|密钥|API密钥
"""
TOKENS = "Token|Access token|bearer_token|Jeton|Токен|トークン|令牌|토큰"
SECRETS = "Secret|Client secret|clientSecret|Credentials|Zugangsdaten|Secreto|Segredo|Секрет|シークレット|凭据"
ABOUT = """
    Password expires|Password last changed|Password policy|Password hint|Passwort geändert|Token type|Token ID
    Secret name|Key ID|Access key ID|Keys|Key|Keyboard|Passenger|Compass|Bypass|Author|Tokens used
    密码修改时间|パスワード変更日|비밀번호 변경일
    Срок пароля|Password (hash)|Monkey|Secret Santa|Name|Customer|Notes|12|Order number|암호화 방식
    What is the password of the old machine in the cellar room
"""


def listed(text: str) -> list[str]:
    return [name.strip() for line in text.strip().splitlines() for name in line.split("|")]


@pytest.mark.parametrize("name", listed(PASSWORDS))
def test_a_name_of_a_password(name: str) -> None:
    assert meaning(name) == "password"


@pytest.mark.parametrize("name", listed(KEYS))
def test_a_name_of_a_key(name: str) -> None:
    assert meaning(name) == "api_key"


@pytest.mark.parametrize("name", listed(TOKENS))
def test_a_name_of_a_token(name: str) -> None:
    assert meaning(name) == "token"


@pytest.mark.parametrize("name", listed(SECRETS))
def test_a_name_of_a_secret(name: str) -> None:
    assert meaning(name) == "secret"


@pytest.mark.parametrize("name", listed(ABOUT))
def test_a_name_that_is_about_a_secret_or_something_else(name: str) -> None:
    assert meaning(name) == ""


def test_a_word_with_two_meanings_needs_another_name_beside_it() -> None:
    assert meanings(["Clave", "Producto", "Precio"]) == ["", "", ""]
    assert meanings(["Usuario", "Clave"]) == ["", "password"]
    assert meanings(["Host", "Pass", "Notes"]) == ["", "password", ""]
    assert meanings(["Test", "Pass", "Fail"]) == ["", "", ""]


def has_stem(name: str) -> bool:
    """Whether the cells' prefilter sees a name: as bytes, in any case of ASCII letters."""
    text = name.encode()
    for stem in STEMS:
        edges = stem.startswith(r"\b")
        word = re.escape(stem.replace(r"\b", "").encode())
        if re.search(rb"\b" + word + rb"\b" if edges else word, text, re.IGNORECASE):
            return True
    return False


def test_every_name_of_a_secret_is_seen_by_the_prefilter() -> None:
    """In small letters, in capitals, and as a title: a name without a stem would never be asked about."""
    names = listed(PASSWORDS) + listed(KEYS) + listed(TOKENS) + listed(SECRETS)
    for table in headings._TABLE:
        names += [*table.words, *table.runs, *table.signs]
    names += [f"our{end}" for end in headings._ENDS]
    written = {form for name in names for form in (name, name.upper(), name.title()) if meaning(form)}
    assert len(written) > 300
    assert sorted(name for name in written if not has_stem(name)) == []
