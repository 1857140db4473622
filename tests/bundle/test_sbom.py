"""What made a bundle, as other tools read it."""

from __future__ import annotations

from metasight.bundle.sbom import bill_of_materials


def test_packages_have_addresses_and_python_is_a_platform():
    bill = bill_of_materials({"numpy": "2.4.6", "python": "3.11.7"})
    by_name = {c["name"]: c for c in bill["components"]}
    assert by_name["numpy"]["purl"] == "pkg:pypi/numpy@2.4.6"
    assert by_name["python"]["type"] == "platform"
    assert "purl" not in by_name["python"]
    assert bill["specVersion"] == "1.5"


def test_several_versions_are_several_components():
    bill = bill_of_materials({"numpy": "2.4.5, 2.4.6"})
    assert [c["version"] for c in bill["components"]] == ["2.4.5", "2.4.6"]


def test_the_serial_number_is_of_the_content_and_a_uuid():
    one, two = (bill_of_materials({"numpy": v})["serialNumber"] for v in ("1", "2"))
    assert one != two
    assert one == bill_of_materials({"numpy": "1"})["serialNumber"]
    assert [len(p) for p in one.removeprefix("urn:uuid:").split("-")] == [8, 4, 4, 4, 12]
