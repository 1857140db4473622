"""From the flow to the patients behind a count, and to one of them."""

from __future__ import annotations

import re
from collections.abc import Callable

from metasight.serve.pages import _query
from metasight.serve.patients import Asked

from .conftest import Served

Serve = Callable[..., Served]


def rows(text: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/patients/(P\w{16})', text)


def test_each_count_of_the_flow_opens_as_many_patients(serve: Serve) -> None:
    served = serve().enter()
    text = served.client.get("/").text
    counts = re.findall(r'<a class="count" href="([^"]+)"[^>]*>(\d+)', text)
    assert len(counts) >= 3
    for address, number in counts:
        answer = served.client.get(address.replace("&amp;", "&"))
        assert f"{number} of 150 patients" in answer.text, address


def test_a_list_is_narrowed_and_kept_from_patient_to_patient(serve: Serve) -> None:
    served = serve().enter()
    answer = served.client.get("/patients?centre=North&order=missing")
    found = rows(answer.text)
    assert 0 < len(found) < 150
    second = served.client.get(f"/patients/{found[1]}?centre=North&order=missing").text
    assert f'rel="prev" href="/patients/{found[0]}?centre=North&amp;order=missing"' in second
    assert f'rel="next" href="/patients/{found[2]}?centre=North&amp;order=missing"' in second
    assert f"2 of {len(found)}" in second


def test_a_part_of_the_page_is_the_rows_alone(serve: Serve) -> None:
    served = serve().enter()
    answer = served.client.get("/patients?q=P0", headers={"hx-request": "true"})
    assert "<html" not in answer.text and all(r.startswith("P0") for r in rows(answer.text))


def test_pages_of_the_list(serve: Serve) -> None:
    served = serve().enter()
    first, second = (rows(served.client.get(f"/patients?page={n}").text) for n in (1, 2))
    assert (len(first), len(second)) == (100, 50)
    assert len({*first, *second}) == 150
    assert served.client.get("/patients?page=3").status_code == 200


def test_a_patient_is_found_by_the_hospital_s_id_that_is_not_kept(serve: Serve) -> None:
    served = serve().enter()
    answer = served.post("/find", id=" MRN-00000 ")
    assert answer.status_code == 200 and re.search(r"/patients/P\w{16}$", str(answer.url))
    assert "MRN" not in answer.text + str(served.workbench.audit.rows())
    assert served.post("/find", id="MRN-99999").status_code == 404


def test_a_patient_s_page_says_research_only_beside_the_risk(serve: Serve) -> None:
    served = serve().enter()
    patient = next(iter(served.workbench.run.risks.of))
    text = served.client.get(f"/patients/{patient}").text
    assert "Research only" in text and "95 % interval" in text and "<polyline" in text
    for criterion in served.workbench.study.protocol.criterion:
        assert f'<span class="id">{criterion.id}</span>' in text


def test_the_report_may_run_and_load_nothing(serve: Serve) -> None:
    answer = serve().enter().client.get("/report")
    assert len(answer.text) > 10_000
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "script-src" not in policy


def test_a_damaged_result_is_named_and_not_shown(serve: Serve, study_folder) -> None:
    (path,) = (study_folder / ".metasight" / "store").rglob("cohort.json")
    path.write_text(path.read_text().replace("1", "2"))
    served = serve().enter()
    assert "changed after it was made" in served.client.get("/").text
    assert served.client.get("/patients").status_code == 409


def test_an_address_leaves_out_what_is_not_asked() -> None:
    assert _query(Asked()) == ""
    assert _query(Asked(centre="N & S", page=2), page=3) == "?centre=N+%26+S&page=3"


def test_the_plan_has_a_page_once_it_is_locked(serve: Serve, study_folder) -> None:
    from metasight.study.analysis_plan import lock_plan
    from metasight.study.file import read_study

    served = serve().enter()
    assert served.client.get("/plan").status_code == 404
    lock_plan(read_study(study_folder))
    text = served.client.get("/plan").text
    assert "Locked on" in text and "headline measure" in text


def test_looking_again(serve: Serve, study_folder) -> None:
    served = serve().enter()
    served.workbench.looking.wait()
    assert "results are up to date" in served.client.get("/").text
    table = study_folder / "patients.csv"
    table.write_text(table.read_text().replace("mastectomy", "breast-conserving", 1))
    served.post("/look")
    served.workbench.looking.wait()
    text = served.client.get("/standing").text
    assert "not up to date" in text and "screen cohort" in text
