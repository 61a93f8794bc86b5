"""entity set, list; tax load, list, report."""

from pathlib import Path

from tests.ratewire.cli.conftest import SAMPLES, Configured


def test_who_issues_documents_and_the_taxes_on_them(configured: Configured, tmp_path: Path) -> None:
    ratewire = configured.ratewire
    entity, taxes = (str(SAMPLES.with_name(name)) for name in ("entity.toml", "taxes.toml"))
    assert ratewire.done("entity", "set", entity) == "entity main is set\n"
    assert ratewire.done("entity", "set", entity) == "entity main is unchanged\n"
    assert ratewire.json("entity", "list")[0]["name"] == "Nordlicht Internet GmbH"
    assert "rates are new or changed" in ratewire.done("tax", "load", taxes)
    assert ratewire.done("tax", "load", taxes).startswith("0 of ")
    rates = ratewire.json("tax", "list", "--jurisdiction", "CA-QC")
    assert {rate["tax"] for rate in rates} == {"GST", "QST"}
    assert ratewire.json("tax", "report", "2026-01-01", "2026-12-31") == []
    assert "is no day" in ratewire.refused("tax", "report", "x", "2026-12-31")
    faulty = tmp_path / "rates.toml"
    text = '[[rate]]\njurisdiction = "DE"\ncategory = "standard"\ntax = "VAT"\nfrom = 2021-01-01\n'
    faulty.write_text(text)
    assert "percent is missing" in ratewire.refused("tax", "load", str(faulty))
