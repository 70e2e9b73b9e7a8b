# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright: agentless.audit_ports contributors

"""What native programs say, by language. Tokens that Windows does not translate stand in the programs themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    """One language. `headings` are those of netsh for the profiles domain, private and public."""

    headings: tuple[str, str, str]
    state: str
    on: str
    off: str
    ok: str
    deleted: str
    none_match: str
    not_elevated: str
    no_service: str
    bad_value: str
    bad_port: str
    bad_protocol: str
    bad_argument: str
    missing: str
    not_found: str
    usage: tuple[str, ...]
    global_heading: str
    categories: str
    dynamic_ports: tuple[str, ...]
    listening: str
    connections: tuple[str, str]
    key_missing: str
    denied: str


_ENGLISH = Texts(
    headings=("Domain Profile Settings: ", "Private Profile Settings: ", "Public Profile Settings: "),
    state="State", on="ON", off="OFF",
    ok="Ok.",
    deleted="Deleted {} rule(s).",
    none_match="No rules match the specified criteria.",
    not_elevated="The requested operation requires elevation (Run as administrator).",
    no_service="An error occurred while attempting to contact the  Windows Defender Firewall service. "
    "Make sure that the service is running and try your request again.",
    bad_value="A specified value is not valid.",
    bad_port="A specified port value is not valid.",
    bad_protocol="A specified protocol value is not valid.",
    bad_argument="'{}' is not a valid argument for this command.",
    missing="A required argument is missing.",
    not_found="The following command was not found: {}.",
    usage=("", "Usage: add rule name=<string>", "      dir=in|out", "      action=allow|block|bypass"),
    global_heading="Global Settings: ",
    categories="Categories:",
    dynamic_ports=(
        "Protocol tcp Dynamic Port Range", "---------------------------------",
        "Start Port      : 49152", "Number of Ports : 16384",
    ),
    listening="LISTENING",
    connections=("Active Connections", "  Proto  Local Address          Foreign Address        State           PID"),
    key_missing="ERROR: The system was unable to find the specified registry key or value.",
    denied="ERROR: Access is denied.",
)  # fmt: skip
_GERMAN = Texts(
    headings=(
        "Domänenprofil-Einstellungen: ", "Privates Profil-Einstellungen: ", "Öffentliches Profil-Einstellungen: ",
    ),
    state="Status", on="EIN", off="AUS",
    ok="OK.",
    deleted="{} Regel(n) wurde(n) gelöscht.",
    none_match="Keine Regeln stimmen mit den angegebenen Kriterien überein.",
    not_elevated="Der angeforderte Vorgang erfordert erhöhte Rechte (Als Administrator ausführen).",
    no_service="Fehler beim Kontaktieren des Windows-Firewalldienstes. Stellen Sie sicher, dass der Dienst "
    "ausgeführt wird, und versuchen Sie es erneut.",
    bad_value="Ein angegebener Wert ist ungültig.",
    bad_port="Ein angegebener Portwert ist ungültig.",
    bad_protocol="Ein angegebener Protokollwert ist ungültig.",
    bad_argument='"{}" ist kein gültiges Argument für diesen Befehl.',
    missing="Ein erforderliches Argument fehlt.",
    not_found="Der folgende Befehl wurde nicht gefunden: {}.",
    usage=("", "Syntax: add rule name=<Zeichenfolge>", "      dir=in|out", "      action=allow|block|bypass"),
    global_heading="Globale Einstellungen: ",
    categories="Kategorien:",
    dynamic_ports=(
        "Dynamischer Portbereich für Protokoll tcp", "-----------------------------------------",
        "Startport           : 49152", "Anzahl von Ports    : 16384",
    ),
    listening="ABHÖREN",
    connections=("Aktive Verbindungen", "  Proto  Lokale Adresse         Remoteadresse          Status           PID"),
    key_missing="FEHLER: Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden.",
    denied="FEHLER: Zugriff verweigert",
)  # fmt: skip
_CHINESE = Texts(
    headings=("域配置文件 设置: ", "专用配置文件 设置: ", "公用配置文件 设置: "),
    state="状态", on="启用", off="关闭",
    ok="确定。",
    deleted="已删除 {} 规则。",
    none_match="没有与指定标准相匹配的规则。",
    not_elevated="请求的操作需要提升(作为管理员运行)。",
    no_service="尝试联系 Windows Defender 防火墙服务时出错。请确保服务正在运行,然后重试。",
    bad_value="指定的值无效。",
    bad_port="指定的端口值无效。",
    bad_protocol="指定的协议值无效。",
    bad_argument="\u201c{}\u201d不是此命令的有效参数。",
    missing="缺少必需的参数。",
    not_found="找不到下列命令: {}。",
    usage=("", "用法: add rule name=<string>", "      dir=in|out", "      action=allow|block|bypass"),
    global_heading="全局 设置: ",
    categories="类别:",
    dynamic_ports=(
        "协议 tcp 动态端口范围", "---------------------------------",
        "启动端口        : 49152", "端口数          : 16384",
    ),
    listening="LISTENING",
    connections=("活动连接", "  协议  本地地址          外部地址        状态           PID"),
    key_missing="错误: 系统找不到指定的注册表项或值。",
    denied="错误: 拒绝访问。",
)  # fmt: skip
_FRENCH = Texts(
    headings=("Paramètres Profil de domaine : ", "Paramètres Profil privé : ", "Paramètres Profil public : "),
    state="État", on="Actif", off="Inactif",
    ok="Ok.",
    deleted="{} règle(s) supprimée(s).",
    none_match="Aucune règle ne correspond aux critères spécifiés.",
    not_elevated="L'opération demandée nécessite une élévation (Exécuter en tant qu'administrateur).",
    no_service="Une erreur s'est produite lors de la tentative de contact avec le service Pare-feu Windows.",
    bad_value="Une valeur spécifiée n'est pas valide.",
    bad_port="Une valeur de port spécifiée n'est pas valide.",
    bad_protocol="Une valeur de protocole spécifiée n'est pas valide.",
    bad_argument="'{}' n'est pas un argument valide pour cette commande.",
    missing="Un argument requis est manquant.",
    not_found="La commande suivante n'a pas été trouvée : {}.",
    usage=("", "Utilisation : add rule name=<chaîne>", "      dir=in|out", "      action=allow|block|bypass"),
    global_heading="Paramètres globaux : ",
    categories="Catégories :",
    dynamic_ports=(
        "Plage de ports dynamiques du protocole tcp", "------------------------------------------",
        "Port de démarrage   : 49152", "Nombre de ports     : 16384",
    ),
    listening="LISTENING",
    connections=("Connexions actives", "  Proto  Adresse locale         Adresse distante       État           PID"),
    key_missing="ERREUR : le système n'a pas pu trouver la clé ou la valeur de Registre spécifiée.",
    denied="ERREUR : Accès refusé.",
)  # fmt: skip
TEXTS = {"en": _ENGLISH, "de": _GERMAN, "fr": _FRENCH, "zh": _CHINESE}
