"""The Chalice app: the blueprints of both APIs and of the jobs. Each function of the bundle starts from here."""

import os

from chalice import Chalice

from chalicelib.handlers import (
    auth,
    data_products,
    events,
    health,
    jobs,
    observation_templates,
    observations,
    observing,
    openapi,
    pages,
    processes,
    productions,
    reduced_data,
    renditions,
    streams,
    targets,
)
from chalicelib.pipelines.registry import all_pipelines

# Its `debug` is left alone: to set it, even to False, sets the level of the logger of this name, which may be ours.
app = Chalice(app_name="sidereal", configure_logs=False)
app.api.binary_types.append("multipart/form-data")

for module in (
    health,
    events,
    productions,
    targets,
    data_products,
    reduced_data,
    renditions,
    processes,
    observation_templates,
    observing,
    observations,
    streams,
    openapi,
    pages,
    jobs,
):
    app.register_blueprint(module.blueprint)

if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
    # A deployed stage without keys refuses to start; `chalice package` and tests import this module without any.
    auth.require_configured()
    # Pipelines that cannot be used are named in the log of the start, not in that of somebody's first run.
    all_pipelines()
