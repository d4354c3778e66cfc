"""All of it on a page."""

# pyright: strict
from os import PathLike

from convlens.api.arguments import names_ours
from convlens.api.load import loaded
from convlens.api.types import Images, ValueRange
from convlens.page.notebook import Report
from convlens.techniques.request import Compute, ReportRequest


@names_ours
def report(
    network: object,
    images: Images,
    out: str | PathLike[str],
    *,
    single_file: bool = False,
    overwrite: bool = False,
    seed: int = ReportRequest.seed,
    value_range: ValueRange = None,
    batch_size: int | None = None,
) -> Report:
    """Writes a page with the three views of a network on some images.

    Args:
        network: what `load` gave, or anything that it takes.
        images: as for `activations`.
        out: the folder to write, which must be new or empty; the page's file for a single file.
        single_file: write one HTML file with everything in it.
        overwrite: replace an earlier run in the folder, or the file.
        seed: of the filter patterns' start.
        value_range: as for `activations`.
        batch_size: images or filters at once.

    Returns:
        the path of the page, which a notebook shows as the page itself.

    Raises:
        OutputError, ImageError, ModelError.

    Example:
        >>> page = convlens.report("bundled", photo(), "a-report")
        >>> page.as_posix()
        'a-report/index.html'
    """
    from convlens.jobs.survey import survey

    opened = loaded(network)
    with opened.exclusive():
        return Report(
            survey(
                opened,
                images,
                str(out),
                ReportRequest(seed),
                Compute(batch_size),
                value_range=value_range,
                single_file=single_file,
                overwrite=overwrite,
            ).page
        )
