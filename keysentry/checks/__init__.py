"""Offline validity of credentials: named pure functions and their table.

A rule names checks by the keys of `CHECKS`. To add one: write the function in a module of this package, add its line
here (the table is sorted), and test it at its edges.
"""

from __future__ import annotations

from keysentry.checks.base import Check
from keysentry.checks.clouds import aws_account_id, aws_bedrock, google_service_account
from keysentry.checks.jose import jwt
from keysentry.checks.keys import age, der_key, pem, putty
from keysentry.checks.markers import grafana_crc32, openai_marker
from keysentry.checks.urls import basic_auth, url_password
from keysentry.checks.vendors import (
    discord_token,
    github_crc32,
    gitlab_routable,
    not_hex,
    npm_crc32,
    pypi_macaroon,
    slack_token,
    stripe_key,
    telegram_token,
)

CHECKS: dict[str, Check] = {
    "age": age,
    "aws-account-id": aws_account_id,
    "aws-bedrock": aws_bedrock,
    "basic-auth": basic_auth,
    "der-key": der_key,
    "discord-token": discord_token,
    "github-crc32": github_crc32,
    "gitlab-routable": gitlab_routable,
    "google-service-account": google_service_account,
    "grafana-crc32": grafana_crc32,
    "jwt": jwt,
    "not-hex": not_hex,
    "npm-crc32": npm_crc32,
    "openai-marker": openai_marker,
    "pem": pem,
    "putty": putty,
    "pypi-macaroon": pypi_macaroon,
    "slack-token": slack_token,
    "stripe-key": stripe_key,
    "telegram-token": telegram_token,
    "url-password": url_password,
}
