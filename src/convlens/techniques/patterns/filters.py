"""What a filter looks for: many filters at once."""

from convlens.network.network import Network
from convlens.network.provenance import provenance
from convlens.results.patterns import FilterPatterns
from convlens.techniques.patterns.ascent import Job, Settings
from convlens.techniques.patterns.images.base import Colours, as_shown
from convlens.techniques.patterns.making import make
from convlens.techniques.patterns.recipes import recipe_of
from convlens.techniques.patterns.selection import parse_filters
from convlens.techniques.patterns.sizes import output_shapes, pattern_sides
from convlens.techniques.precision import precision_of
from convlens.techniques.request import PLAIN, Compute, PatternRequest


def filter_patterns(network: Network, request: PatternRequest, compute: Compute = PLAIN) -> FilterPatterns:
    """Images that filters of a layer respond to strongly, by gradient ascent from noise.

    Args:
        network: the network to look into; its preprocessing tells in which units its input is.
        request: the layer, at which the forward pass stops, its filters, and the method, a row of recipes.py.
        compute: how; by default as many filters at once as are computed fastest and fit the memory budget. The last
            batch is filled up, so that what comes of a filter does not depend on those beside it.

    Returns:
        images uint8 (filters, height, width, 3), the activation at the start and at the end, how much of each picture
        is its start, and one status per filter, a key of `STATUS` in results.patterns.

    Raises:
        LayerError: unknown layer.
        FilterError: a filter that the layer does not have.
        OptionError: unknown precision, or a size that the layer cannot be computed on.
        ModelError: the gradient cannot be computed, or the layer runs through layers without weights.
        CancelledError: the caller cancelled it.
    """
    recipe = recipe_of(request.method)
    info = network.layer(request.layer)
    chosen = parse_filters(request.filters, int(info.output_shape[-1] or 0), info.path)
    jobs = [Job(recipe.objective(info.path, index).located(network), index) for index in chosen]
    sides, said = pattern_sides(network, jobs[0].objective, request.size, recipe.side)
    for job in jobs:
        job.objective.check(output_shapes(network, job.objective, sides))
    steps, step_size = request.steps or recipe.steps, request.step_size or recipe.step_size
    settings = Settings(steps, step_size, request.seed, precision_of(network, request.precision))
    scaling, notes = network.known_preprocessing()
    colours = Colours(*scaling.affine(network.image_shape[2] or 3))
    found = make(network, jobs, recipe, colours, sides, settings, compute)
    how = {name: getattr(request, name) for name in ("technique", "method", "steps", "step_size", "seed")}
    how |= {"size": list(sides), "precision": settings.precision, "request": request.to_json()}
    origin = provenance(network, scaling, [*notes, *said], **how)
    measured = found.start, found.end, found.of_start, found.status, info.path, origin
    if recipe.image.true_colours:
        return FilterPatterns(as_shown(found.images), chosen, *measured)
    return FilterPatterns.from_latents(found.images, chosen, *measured)
