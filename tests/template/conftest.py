"""The whole deployment template of each stage, as `chalice package` makes it of its own and ours."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from chalice.awsclient import TypedAWSClient
from chalice.cli.factory import CLIFactory
from chalice.deploy.appgraph import ApplicationGraphBuilder, DependencyBuilder
from chalice.deploy.deployer import BaseDeployStep, BuildStage, InjectDefaults, PolicyGenerator, SwaggerBuilder
from chalice.deploy.swagger import CFNSwaggerGenerator
from chalice.package import PackageOptions, ResourceBuilder, SAMTemplateGenerator, TemplateDeepMerger
from chalice.policy import AppPolicyGenerator
from chalice.utils import OSUtils

from deployment import template

PROJECT = Path(__file__).resolve().parents[2]


class _NoCode(BaseDeployStep):
    """Stands in for the step that installs the libraries and zips them."""

    def handle_deploymentpackage(self, _config: Any, resource: Any) -> None:
        resource.filename = "deployment.zip"


@cache
def _package(stage: str) -> str:
    factory = CLIFactory(str(PROJECT), environ={})
    config = factory.create_config_obj(chalice_stage_name=stage)
    osutils = OSUtils()
    steps = [
        InjectDefaults(),
        _NoCode(),
        PolicyGenerator(policy_gen=AppPolicyGenerator(osutils=osutils), osutils=osutils),
        SwaggerBuilder(swagger_generator=CFNSwaggerGenerator()),
    ]
    builder = ResourceBuilder(ApplicationGraphBuilder(), DependencyBuilder(), BuildStage(steps=steps))
    session = botocore.session.Session()
    session.set_config_variable("region", "us-east-1")
    options = PackageOptions(TypedAWSClient(session))
    made = SAMTemplateGenerator(config, options).generate(builder.construct_resources(config, stage))
    return json.dumps(TemplateDeepMerger().merge(template.resources(), made))


@pytest.fixture(scope="session")
def packaged() -> Callable[[str], dict[str, Any]]:
    """Return a function that returns the template of a stage."""
    return lambda stage: json.loads(_package(stage))
