"""Numbers of the standard attributes that this package reads or writes, and their wire lengths.

Names follow the RFCs: RFC 2865, 2866, 2869, 3162, 4372, 4818, 5176, 6911. Plain integers, because
they are dictionary keys on the hot path.
"""

from typing import Final

USER_NAME: Final = 1
USER_PASSWORD: Final = 2
CHAP_PASSWORD: Final = 3
NAS_IP_ADDRESS: Final = 4
NAS_PORT: Final = 5
SERVICE_TYPE: Final = 6
FRAMED_IP_ADDRESS: Final = 8
CLASS: Final = 25
VENDOR_SPECIFIC: Final = 26
CALLED_STATION_ID: Final = 30
CALLING_STATION_ID: Final = 31
NAS_IDENTIFIER: Final = 32
PROXY_STATE: Final = 33
ACCT_STATUS_TYPE: Final = 40
ACCT_DELAY_TIME: Final = 41
ACCT_INPUT_OCTETS: Final = 42
ACCT_OUTPUT_OCTETS: Final = 43
ACCT_SESSION_ID: Final = 44
ACCT_SESSION_TIME: Final = 46
ACCT_TERMINATE_CAUSE: Final = 49
ACCT_INPUT_GIGAWORDS: Final = 52
ACCT_OUTPUT_GIGAWORDS: Final = 53
EVENT_TIMESTAMP: Final = 55
CHAP_CHALLENGE: Final = 60
NAS_PORT_TYPE: Final = 61
EAP_MESSAGE: Final = 79
MESSAGE_AUTHENTICATOR: Final = 80
NAS_PORT_ID: Final = 87
CHARGEABLE_USER_IDENTITY: Final = 89
NAS_IPV6_ADDRESS: Final = 95
FRAMED_IPV6_PREFIX: Final = 97
ERROR_CAUSE: Final = 101

# Standard attributes whose value has one length only, with that length in octets.
FIXED_LENGTHS: Final[dict[int, tuple[str, int]]] = {
    NAS_IP_ADDRESS: ("NAS-IP-Address", 4),
    NAS_PORT: ("NAS-Port", 4),
    SERVICE_TYPE: ("Service-Type", 4),
    7: ("Framed-Protocol", 4),
    FRAMED_IP_ADDRESS: ("Framed-IP-Address", 4),
    9: ("Framed-IP-Netmask", 4),
    12: ("Framed-MTU", 4),
    27: ("Session-Timeout", 4),
    28: ("Idle-Timeout", 4),
    ACCT_STATUS_TYPE: ("Acct-Status-Type", 4),
    ACCT_DELAY_TIME: ("Acct-Delay-Time", 4),
    ACCT_INPUT_OCTETS: ("Acct-Input-Octets", 4),
    ACCT_OUTPUT_OCTETS: ("Acct-Output-Octets", 4),
    45: ("Acct-Authentic", 4),
    ACCT_SESSION_TIME: ("Acct-Session-Time", 4),
    47: ("Acct-Input-Packets", 4),
    48: ("Acct-Output-Packets", 4),
    ACCT_TERMINATE_CAUSE: ("Acct-Terminate-Cause", 4),
    51: ("Acct-Link-Count", 4),
    ACCT_INPUT_GIGAWORDS: ("Acct-Input-Gigawords", 4),
    ACCT_OUTPUT_GIGAWORDS: ("Acct-Output-Gigawords", 4),
    EVENT_TIMESTAMP: ("Event-Timestamp", 4),
    NAS_PORT_TYPE: ("NAS-Port-Type", 4),
    MESSAGE_AUTHENTICATOR: ("Message-Authenticator", 16),
    85: ("Acct-Interim-Interval", 4),
    NAS_IPV6_ADDRESS: ("NAS-IPv6-Address", 16),
    96: ("Framed-Interface-Id", 8),
    ERROR_CAUSE: ("Error-Cause", 4),
    168: ("Framed-IPv6-Address", 16),
}

# RFC 3162 s2.3: a reserved octet, the prefix length in bits (0..128), up to 16 octets of prefix.
IPV6_PREFIXES: Final[dict[int, str]] = {
    FRAMED_IPV6_PREFIX: "Framed-IPv6-Prefix",
    123: "Delegated-IPv6-Prefix",
}
