"""invoice, credit-note, message: from a draft to the money given back."""

import io
import json
from pathlib import Path

import pypdf

from tests.ratewire.cli.conftest import SAMPLES, Configured
from tests.ratewire.cli.documented import assert_documented, tables


def test_an_invoice_from_draft_to_credit_note(configured: Configured, tmp_path: Path) -> None:
    ratewire = configured.ratewire
    ratewire.done("entity", "set", str(SAMPLES.with_name("entity.toml")))
    ratewire.done("tax", "load", str(SAMPLES.with_name("taxes.toml")))
    ratewire.done("account", "create", "shop", "--currency", "EUR", "--postpaid")
    new = tmp_path / "new.json"
    line = {"description": "Installation", "unit_price_micros": 100_000_000}
    buyer = {"name": "Anna Beispiel"}
    new.write_text(json.dumps({"account": "shop", "lines": [line], "buyer": buyer}))
    preview = ratewire.json("invoice", "preview", str(new))
    draft = ratewire.json("invoice", "draft", str(new))
    assert preview["total_micros"] == draft["total_micros"] == 119_000_000
    [number, *_] = ratewire.done("invoice", "finalize", str(draft["invoice_id"])).split()
    assert "was finalized before" in ratewire.refused("invoice", "finalize", number)
    pdf = tmp_path / "invoice.pdf"
    ratewire.done("invoice", "file", number, "-o", str(pdf))
    text = pypdf.PdfReader(io.BytesIO(pdf.read_bytes())).pages[0].extract_text()
    assert number in text
    assert "119.00" in text
    note = ratewire.json(
        *("credit-note", "issue", number, "--reason", "Outage", "--line", "1=11.90"),
    )
    assert (note["offset_micros"], note["tax_micros"]) == (11_900_000, 1_900_000)
    [found] = ratewire.json("invoice", "list", "--account", "shop")
    assert found["left_micros"] == 107_100_000
    assert ratewire.json("credit-note", "list")[0]["number"] == note["number"]
    assert {each["series"] for each in ratewire.json("invoice", "series")} == {
        *("invoice", "credit_note"),
    }
    assert "credit note" in ratewire.refused("invoice", "void", number)
    paid = ratewire.json("payment", "receive", "shop", "5.00", "--stay-credit")
    words = ("payment", "allocate", str(paid["payment_id"]), number)
    assert "3.00 of payment" in ratewire.done(*words, "3.00")
    put = ratewire.json(*words, "2.00")
    assert assert_documented(put, tables()["payment allocate"][0]) == set()
    assert (put["document_id"], put["amount_micros"]) == (draft["invoice_id"], 2_000_000)
    assert "has 0.00 EUR left" in ratewire.refused(*words, "1.00")
    told = ratewire.done("payment", "release", str(put["allocation_id"]))
    assert "0.00 of payment" in told
    ratewire.done("invoice", "write-off", number)
    assert "uncollectible" in ratewire.done("invoice", "show", number)
    assert "no e-mail address" in ratewire.refused("invoice", "send", number)
    assert ratewire.json("message", "list") == []
    assert "allowed is LINE" in ratewire.refused(
        "credit-note", "issue", number, "--reason", "x", "--line", "a"
    )
