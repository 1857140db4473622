"""The last steps: results gathered, and the report written from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from metasight.cohort.overlap import key_from
from metasight.engine.contents import Contents, Folder
from metasight.engine.step import Step, StepKind
from metasight.plan.analysis import Analysis
from metasight.provenance import hash_json
from metasight.steps import locking, results
from metasight.study.analysis_plan import PlanComparison, compare_with_plan
from metasight.study.file import Study


def report_steps(
    study: Study,
    analyses: Sequence[Analysis],
    needs: Sequence[Step],
    made_by: Mapping[str, tuple[str, ...]],
    contents: Contents,
    *,
    locked: str = "",
    skipped: tuple[str, ...] = (),
) -> tuple[Step, ...]:
    """Steps that gather predictions, ledger and features, write the report, and lock the models.

    Models that were locked elsewhere are not locked again.

    Parameters
    ----------
    study, contents
        Of the run.
    analyses
        Headline first.
    needs
        Steps whose results are set out.
    made_by
        Package → versions that made the results; several where they were made at several times.
    locked
        Hash of the bundle when locked models were tried on external patients.
    skipped
        Which endpoints could not be analysed, and why.
    """
    tables = contents.of_folder(Folder(root=study.folder, files=study.tables))
    plan = PlanComparison() if locked else compare_with_plan(study)
    provenance = results.Provenance(
        run=hash_json([locked, [s.key for s in needs], asdict(plan)])[:12],
        tables=tables,
        versions={name: ", ".join(found) for name, found in made_by.items()},
        several=tuple(name for name, found in made_by.items() if len(found) > 1),
        code=hash_json(sorted({s.code.digest for s in needs})),
        bundle=locked,
    )
    argument = results.ResultsArgument(
        settings=study.settings,
        protocol=study.protocol,
        analyses=tuple(
            results.AnalysisNames(
                endpoint=a.endpoint,
                population=a.population,
                headline=a.headline,
                data=a.data.name,
                judged=a.evaluation,
            )
            for a in analyses
        ),
        provenance=provenance,
        external=bool(locked),
        skipped=skipped,
        plan=plan,
    )
    collected = Step(
        name="results",
        kind=StepKind.COLLECT_RESULTS,
        label="report",
        function=results.collect,
        argument=argument,
        needs=tuple(needs),
        contents=contents,
    )
    written = Step(
        name="report",
        kind=StepKind.WRITE_REPORT,
        label="report",
        function=results.report,
        argument=argument,
        needs=tuple(needs),
        contents=contents,
    )
    return (
        (collected, written)
        if locked
        else (collected, written, _lock_step(study, argument, needs, contents))
    )


def _lock_step(
    study: Study, argument: results.ResultsArgument, needs: Sequence[Step], contents: Contents
) -> Step:
    """The bundle: models, how they are measured, and what they rest on."""
    headline = argument.analyses[0]
    slides = study.settings.slides
    given = slides.maps.generator if slides is not None and slides.maps is not None else None
    return Step(
        name="bundle",
        kind=StepKind.LOCK_BUNDLE,
        label="report",
        function=locking.lock,
        argument=locking.LockArgument(
            settings=argument.settings,
            protocol=argument.protocol,
            data=headline.data,
            judged=headline.judged,
            endpoint=headline.endpoint,
            run=argument.provenance.run,
            versions=argument.provenance.versions,
            overlap_key=key_from(argument.settings.key),
            generator=None if given is None else study.folder / given,
        ),
        needs=tuple(needs),
        contents=contents,
    )
