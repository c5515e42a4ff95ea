"""Configuration: nested frozen structs, filled from defaults, ``cooee.toml``, the environment and flags, in that order.

An unknown key refuses to start, with its name and the nearest known one. Each field's description is its documentation:
``cooee config show`` and docs/configuration.md are made from it.
"""

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from cooee.domain.limits import Limits, Rate
from cooee.domain.media_settings import MediaSettings
from cooee.domain.push import PushSettings
from cooee.domain.webhooks import WebhookSettings

_S3_MINUTES = 5040
_URL = r"^https?://[A-Za-z0-9._:\[\]-]+$"
_SECRETS = frozenset({"s3.secret_key"})
"""Keys whose values are not shown."""
_UNITS = {"s": 1, "min": 60, "h": 3600, "day": 86_400}


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key, where it was set, and what to do."""


def _doc(text: str, **bounds: Any) -> Any:
    return msgspec.Meta(description=text, **bounds)


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server listens and who may reach it."""

    host: Annotated[str, _doc("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, _doc("Port to listen on; 0 takes a free one.", ge=0, le=65_535)] = 8080
    data_dir: Annotated[str, _doc("Folder of the embedded store, secrets and the administrative socket.")] = (
        "cooee-data"
    )
    server_id: Annotated[str, _doc("Name of this gateway, as clients see it.", pattern="^[A-Za-z0-9_-]{1,64}$")] = (
        "gw-1"
    )
    public_url: Annotated[str, _doc("The URL people use, e.g. https://chat.example.org; empty: as requested.")] = ""
    allowed_origins: Annotated[
        tuple[str, ...], _doc("Web origins besides public_url whose pages may use this server.")
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...], _doc("Networks whose X-Forwarded-For and -Proto are believed, e.g. 10.0.0.0/8.")
    ] = ()
    tls_cert: Annotated[
        str, _doc("File with the certificate and its chain (PEM); the port then speaks TLS. Read anew when it changes.")
    ] = ""
    tls_key: Annotated[str, _doc("File with the certificate's key (PEM, without a password).")] = ""
    tls_check_s: Annotated[
        float, _doc("Seconds between two looks at the certificate's files, and at this machine's addresses.", gt=0)
    ] = 10.0
    lan: Annotated[
        bool, _doc("Serve the local network: listen on all addresses, with certificates of an authority of its own.")
    ] = False
    lan_port: Annotated[int, _doc("Port for TLS on the local network; 0 takes a free one.", ge=0, le=65_535)] = 8443
    backlog: Annotated[int, _doc("Connections the kernel may queue before they are accepted.", gt=0)] = 4096
    core: Annotated[
        str,
        _doc(
            "Core that the event loop and the store's writer share (Linux): auto, none, or its number.",
            pattern="^(auto|none|[0-9]{1,4})$",
        ),
    ] = "auto"


class AccountsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may have an account, and how log-ins are kept."""

    registration: Annotated[
        Literal["open", "invite", "closed"], _doc("Who may register: anyone, who has an invite, nobody.")
    ] = "open"
    user_search: Annotated[bool, _doc("Whether users may search for others by name.")] = True
    token_idle_days: Annotated[int, _doc("Days without use after which a device is logged out and revoked.", gt=0)] = 90
    min_password_length: Annotated[int, _doc("Shortest password, in characters.", ge=1, le=256)] = 8
    argon2_time_cost: Annotated[int, _doc("argon2id: passes over the memory.", ge=1, le=64)] = 2
    argon2_memory_kib: Annotated[int, _doc("argon2id: memory per hash, in KiB.", ge=8, le=4_194_304)] = 19_456
    argon2_parallelism: Annotated[int, _doc("argon2id: lanes per hash.", ge=1, le=16)] = 1
    hash_threads: Annotated[int, _doc("Password hashes computed at the same time.", ge=1, le=64)] = 2


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The embedded store."""

    group_commit_ms: Annotated[
        float,
        _doc(
            "How long after one commit the next waits for more work, in ms; saves fsyncs, costs latency.", ge=0, le=100
        ),
    ] = 2.0
    readers: Annotated[int, _doc("Threads that read from the store.", ge=1, le=32)] = 2
    message_days: Annotated[int, _doc("Days a message is kept once every device has it.", gt=0)] = 30
    undelivered_days: Annotated[int, _doc("Days a message is kept at most, also when a device lacks it.", gt=0)] = 90
    dedup_days: Annotated[int, _doc("Days within which a re-send finds its first copy.", ge=31)] = 31
    to_device_days: Annotated[int, _doc("Days device-to-device messages wait for their device.", gt=0)] = 90
    sweep_after_s: Annotated[
        float, _doc("Seconds after the start before the first sweep, so that a clock can be set right.", ge=0)
    ] = 600.0
    sweep_interval_s: Annotated[float, _doc("Seconds between two sweeps of what has expired.", gt=0)] = 60.0


class LimitsConfig(Limits, frozen=True, forbid_unknown_fields=True):
    """The limits, and whom the limits per address do not concern."""

    exempt: Annotated[tuple[str, ...], _doc("Networks whose addresses are free of the limits per address.")] = (
        "127.0.0.0/8",
        "::1/128",
    )


class WebhooksConfig(WebhookSettings, frozen=True, forbid_unknown_fields=True):
    """How outgoing webhooks are sent, and where they may go."""


class MediaConfig(MediaSettings, frozen=True, forbid_unknown_fields=True):
    """Files in messages: where they lie and what bounds them."""


class PushConfig(PushSettings, frozen=True, forbid_unknown_fields=True):
    """How notifications reach phones and browsers."""

    vapid_contact: Annotated[
        str, _doc("Whom a browser's push service may write to: mailto:… or https://…; empty: server.public_url.")
    ] = ""
    fcm_service_account_file: Annotated[
        str, _doc("File with the key of Firebase's service account (JSON); empty: no FCM.")
    ] = ""
    fcm_url: Annotated[str, _doc("Where FCM is.", pattern=_URL)] = "https://fcm.googleapis.com"
    apns_key_file: Annotated[str, _doc("File with the key for APNs (.p8); empty: no APNs.")] = ""
    apns_key_id: Annotated[str, _doc("Id of that key, 10 characters.")] = ""
    apns_team_id: Annotated[str, _doc("Id of the team at Apple, 10 characters.")] = ""
    apns_topic: Annotated[str, _doc("The app's bundle id.")] = ""
    apns_sandbox: Annotated[bool, _doc("Whether tokens are those of apps in development.")] = False
    apns_url: Annotated[str, _doc("Where APNs is; empty: at Apple, by apns_sandbox.")] = ""


class S3Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The bucket of media, for ``media.store = "s3"``."""

    endpoint: Annotated[str, _doc("URL of the store, e.g. https://s3.eu-central-1.amazonaws.com.")] = ""
    public_endpoint: Annotated[str, _doc("URL where clients reach the store; empty: the same.")] = ""
    region: Annotated[str, _doc("Region that the store takes itself to be in.", min_length=1)] = "us-east-1"
    bucket: Annotated[str, _doc("Name of the bucket, which exists.")] = ""
    access_key: Annotated[str, _doc("Name of the key that may read, write, list and delete in it.")] = ""
    secret_key: Annotated[str, _doc("The key's secret; better in the environment, or in secret_key_file.")] = ""
    secret_key_file: Annotated[str, _doc("File with the key's secret.")] = ""
    path_style: Annotated[bool, _doc("Whether the bucket stands in the path (endpoint/bucket), not in the host.")] = (
        True
    )


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the server tells of itself."""

    level: Annotated[Literal["debug", "info", "warning", "error"], _doc("The least severe entries to write.")] = "info"
    format: Annotated[
        Literal["auto", "console", "json"], _doc("console for people, json for machines; auto: by the terminal.")
    ] = "auto"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole configuration of one server process."""

    server: ServerConfig = ServerConfig()
    accounts: AccountsConfig = AccountsConfig()
    store: StoreConfig = StoreConfig()
    limits: LimitsConfig = LimitsConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    media: MediaConfig = MediaConfig()
    push: PushConfig = PushConfig()
    s3: S3Config = S3Config()
    log: LogConfig = LogConfig()


class Setting(NamedTuple):
    """One documented key of the configuration."""

    key: str
    env: str
    type: Any
    default: Any
    description: str


SECTIONS: dict[str, type[msgspec.Struct]] = {field.name: field.type for field in msgspec.structs.fields(Config)}


def settings() -> Iterator[Setting]:
    """Yield every key, in the order of the file, with its environment variable, default and description."""
    for section, struct in SECTIONS.items():
        for field in msgspec.structs.fields(struct):
            described = msgspec.inspect.type_info(field.type)
            description = ""
            if isinstance(described, msgspec.inspect.Metadata) and described.extra_json_schema:
                description = str(described.extra_json_schema.get("description", ""))
            yield Setting(
                f"{section}.{field.name}", _env_name(section, field.name), field.type, field.default, description
            )


def _env_name(section: str, name: str) -> str:
    return f"COOEE_{name.upper()}" if section == "server" else f"COOEE_{section.upper()}_{name.upper()}"


def load(
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Config:
    """Build the configuration from ``path`` (or ``cooee.toml`` here, if there is one), environment and flags.

    ``flags`` are dotted keys such as ``server.port``. A later source overrides an earlier one, key by key.

    Raises:
        ConfigError: something is unknown, of the wrong type, or out of range.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    origin: dict[str, str] = {}
    _merge(values, origin, _from_file(path, environment))
    _merge(values, origin, _from_environment(environment))
    _merge(values, origin, [(key, value, "a flag") for key, value in (flags or {}).items() if value is not None])
    built: dict[str, Any] = {section: _convert(section, values[section], origin) for section in SECTIONS}
    config = Config(**built)
    _check(config)
    return config


def _merge(values: dict[str, dict[str, Any]], origin: dict[str, str], source: list[tuple[str, Any, str]]) -> None:
    for key, value, where in source:
        section, _, name = key.partition(".")
        values[section][name] = value
        origin[key] = where


def _from_file(path: Path | None, environment: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    named = path or (Path(environment["COOEE_CONFIG"]) if environment.get("COOEE_CONFIG") else None)
    file = named or Path("cooee.toml")
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if named is None:
            return []
        raise ConfigError(f"{file}: there is no such configuration file") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{file}: cannot be read: {problem}") from None
    except tomllib.TOMLDecodeError as problem:
        raise ConfigError(f"{file}: not valid TOML: {problem}") from None
    found = []
    for section, table in tables.items():
        if section not in SECTIONS:
            raise ConfigError(f"{file}: unknown section [{section}]{_nearest(section, SECTIONS)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{file}: {section} must be a table: [{section}]")
        known = _names(section)
        for name, value in table.items():
            if name not in known:
                raise ConfigError(f"{file}: unknown key {section}.{name}{_nearest(name, known)}")
            found.append((f"{section}.{name}", value, str(file)))
    return found


_NOT_SETTINGS = frozenset(
    f"COOEE_{name}" for name in ("CONFIG", "URL", "TOKEN", "HOME", "PROFILE", "PASSWORD", "KEYRING", "CA_FILE")
)
"""Variables of the command line's own; the server does not read them."""


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    known = {setting.env: setting for setting in settings()}
    found = []
    for variable, text in environment.items():
        if not variable.startswith("COOEE_") or variable in _NOT_SETTINGS or variable.startswith("COOEE_TEST_"):
            continue
        if variable not in known:
            raise ConfigError(f"unknown environment variable {variable}{_nearest(variable, known)}")
        setting = known[variable]
        found.append((setting.key, _from_text(setting, text), f"the environment ({variable})"))
    return found


def _from_text(setting: Setting, text: str) -> Any:
    if isinstance(setting.default, tuple):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(setting.default, bool):
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower(), text)
    if isinstance(setting.default, int | float):
        try:
            return int(text) if isinstance(setting.default, int) else float(text)
        except ValueError:
            return text
    return text


def _convert(section: str, values: dict[str, Any], origin: dict[str, str]) -> msgspec.Struct:
    struct = SECTIONS[section]
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    converted = {}
    for name, value in values.items():
        try:
            converted[name] = msgspec.convert(_rate(value) if _is_rate(fields[name]) else value, fields[name])
        except (msgspec.ValidationError, ValueError) as problem:
            where = origin[f"{section}.{name}"]
            raise ConfigError(f"{section}.{name} (set by {where}): {problem}") from None
    return struct(**converted)


def _is_rate(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is Rate


def _rate(value: Any) -> Any:
    """Read ``"20/s"``, ``"10/min"``, ``"20/s burst 200"`` or a table ``{per_s, burst}``."""
    if not isinstance(value, str):
        return value
    words = value.split()
    try:
        count, _, unit = words[0].partition("/")
        burst = int(words[2]) if words[1:2] == ["burst"] and len(words) == 3 else None
        if len(words) not in (1, 3) or (len(words) == 3 and burst is None):
            raise ValueError
        return Rate(float(count) / _UNITS[unit], burst if burst is not None else max(1, int(float(count))))
    except (ValueError, KeyError, IndexError):
        raise ValueError('a rate is written "20/s", "10/min" or "20/s burst 200"') from None


def _check_tls(server: ServerConfig) -> None:
    if bool(server.tls_cert) != bool(server.tls_key):
        given, missing = ("tls_cert", "tls_key") if server.tls_cert else ("tls_key", "tls_cert")
        raise ConfigError(f"server.{given} is set, and server.{missing} is not; a certificate needs its key")
    if server.lan and server.tls_cert:
        raise ConfigError("server.lan makes certificates of its own; leave server.tls_cert and server.tls_key out")
    if server.lan and server.lan_port == server.port != 0:
        raise ConfigError(f"server.lan_port and server.port are both {server.port}; TLS needs a port of its own")


def _check_s3(config: Config) -> None:
    if config.media.store != "s3":
        return
    s3 = config.s3
    for name in ("endpoint", "bucket", "access_key"):
        if not getattr(s3, name):
            raise ConfigError(f'media.store is "s3", and s3.{name} is not set')
    for name in ("endpoint", "public_endpoint"):
        if getattr(s3, name) and urlsplit(getattr(s3, name)).scheme not in {"http", "https"}:
            raise ConfigError(f"s3.{name} must be a URL such as https://s3.example.org")
    if bool(s3.secret_key) == bool(s3.secret_key_file):
        raise ConfigError("one of s3.secret_key and s3.secret_key_file must be set, and only one")
    if config.media.download_minutes > _S3_MINUTES:
        raise ConfigError(
            f"media.download_minutes must not be larger than {_S3_MINUTES} with S3, which signs for a week"
        )


def _check_push(push: PushConfig) -> None:
    if push.vapid_contact and not push.vapid_contact.startswith(("mailto:", "https://")):
        raise ConfigError("push.vapid_contact must begin with mailto: or https://")
    if push.apns_url and not re.match(_URL, push.apns_url):
        raise ConfigError("push.apns_url must be a URL such as https://api.push.apple.com, without a path")
    if push.apns_key_file:
        for name in ("apns_key_id", "apns_team_id", "apns_topic"):
            if not getattr(push, name):
                raise ConfigError(f"push.apns_key_file is set, and push.{name} is not")


def _check(config: Config) -> None:
    _check_tls(config.server)
    _check_s3(config)
    _check_push(config.push)
    for key, networks in (
        ("server.trusted_proxies", config.server.trusted_proxies),
        ("limits.exempt", config.limits.exempt),
        ("webhooks.allowed_networks", config.webhooks.allowed_networks),
        ("push.allowed_networks", config.push.allowed_networks),
    ):
        for network in networks:
            try:
                ipaddress.ip_network(network, strict=False)
            except ValueError:
                raise ConfigError(f"{key}: {network!r} is not a network such as 10.0.0.0/8") from None
    if config.limits.page > config.limits.max_page:
        raise ConfigError("limits.page must not be larger than limits.max_page")
    if config.limits.content_bytes >= config.limits.frame_bytes:
        raise ConfigError("limits.content_bytes must be smaller than limits.frame_bytes")
    if config.store.message_days > config.store.undelivered_days:
        raise ConfigError("store.message_days must not be larger than store.undelivered_days")


def _names(section: str) -> list[str]:
    return [field.name for field in msgspec.structs.fields(SECTIONS[section])]


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f"; did you mean {close[0]}?" if close else "; `cooee config show` lists all"


def show(config: Config) -> str:
    """Return the configuration as a commented ``cooee.toml``; what differs from its default is marked."""
    lines: list[str] = []
    section = ""
    for setting in settings():
        at, _, name = setting.key.partition(".")
        if at != section:
            section = at
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        value = getattr(getattr(config, section), name)
        if setting.key in _SECRETS and value:
            lines += [f"# {setting.description} ({setting.env})", f"# {name} is set, and not shown"]
            continue
        mark = "" if value == setting.default else f"  # default: {_toml(setting.default)}"
        lines += [f"# {setting.description} ({setting.env})", f"{name} = {_toml(value)}{mark}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Rate):
        return f"{{ per_s = {value.per_s!r}, burst = {value.burst} }}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{value}"
