"""A bank that writes files of what it booked, in each format."""

from decimal import Decimal
from xml.sax.saxutils import escape

import msgspec

IBAN = "DE89370400440532013000"


class Booked(msgspec.Struct, frozen=True):
    """What the bank booked on 2026-03-02; money out is negative."""

    amount: str
    text: str = ""
    payer: str = ""
    payer_account: str = ""
    reference: str = ""
    status: str = "BOOK"

    @property
    def value(self) -> Decimal:
        return Decimal(self.amount)


def _credit(value: Decimal) -> str:
    return "CRDT" if value >= 0 else "DBIT"


def _entry(number: int, line: Booked, day: int) -> str:
    value, side = line.value, "Dbtr" if line.value >= 0 else "Cdtr"
    return f"""<Ntry><Amt Ccy="EUR">{abs(value)}</Amt><CdtDbtInd>{_credit(value)}</CdtDbtInd>
      <Sts><Cd>{line.status}</Cd></Sts><BookgDt><Dt>2026-03-{day:02}</Dt></BookgDt>
      <NtryDtls><TxDtls><Refs><AcctSvcrRef>{day}-{number}</AcctSvcrRef>
        <EndToEndId>{escape(line.reference) or "NOTPROVIDED"}</EndToEndId></Refs>
      <RltdPties><{side}><Pty><Nm>{escape(line.payer)}</Nm></Pty></{side}>
        <{side}Acct><Id><IBAN>{line.payer_account}</IBAN></Id></{side}Acct></RltdPties>
      <RmtInf><Ustrd>{escape(line.text)}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"""


def _balance(code: str, value: Decimal) -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="EUR">{abs(value)}</Amt><CdtDbtInd>{_credit(value)}</CdtDbtInd></Bal>'
    )


def camt(*lines: Booked, day: int = 2, opening: str = "100.00") -> bytes:
    """A camt.053 statement of one day."""
    booked = sum((line.value for line in lines if line.status == "BOOK"), Decimal())
    entries = "\n".join(_entry(number, line, day) for number, line in enumerate(lines, 1))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>
<Acct><Id><IBAN>{IBAN}</IBAN></Id></Acct>
{_balance("OPBD", Decimal(opening))}{_balance("CLBD", Decimal(opening) + booked)}
{entries}
</Stmt></BkToCstmrStmt></Document>
""".encode()


def mt940(*lines: Booked, opening: str = "100.00") -> bytes:
    """An MT940 statement as German banks write it."""

    def written(value: Decimal) -> str:
        return str(abs(value)).replace(".", ",")

    def mark(value: Decimal) -> str:
        return "C" if value >= 0 else "D"

    start = Decimal(opening)
    end = start + sum((line.value for line in lines), Decimal())
    told = "".join(
        f":61:2603020302{mark(line.value)}{written(line.value)}N051NONREF//B{number}\n"
        f":86:166?00GUTSCHRIFT?20{line.text[:27]}?21{line.text[27:54]}"
        f"?31{line.payer_account}?32{line.payer}\n"
        for number, line in enumerate(lines, 1)
    )
    return (
        f":20:STARTUMSE\n:25:37040044/0532013000\n:28C:00001/001\n"
        f":60F:{mark(start)}260301EUR{written(start)}\n{told}"
        f":62F:{mark(end)}260302EUR{written(end)}\n-\n"
    ).encode()


def ofx(*lines: Booked) -> bytes:
    """An OFX 1 file, whose values have no end tags."""
    told = "".join(
        f"<STMTTRN>\n<TRNTYPE>CREDIT\n<DTPOSTED>20260302120000[-5:EST]\n<TRNAMT>{line.amount}\n"
        f"<FITID>F{number}\n<NAME>{line.payer}\n<MEMO>{line.text}\n</STMTTRN>\n"
        for number, line in enumerate(lines, 1)
    )
    return (
        "OFXHEADER:100\nDATA:OFXSGML\nVERSION:102\nENCODING:USASCII\nCHARSET:1252\n\n"
        "<OFX><BANKMSGSRSV1><STMTTRNRS><STMTRS>\n<CURDEF>EUR\n<BANKACCTFROM>\n<ACCTID>123\n"
        f"</BANKACCTFROM>\n<BANKTRANLIST>\n{told}</BANKTRANLIST></STMTRS></STMTTRNRS>"
        "</BANKMSGSRSV1></OFX>\n"
    ).encode("cp1252")
