"""What the emulator is told in place of what AWS is told, where it reads a template otherwise."""

from typing import Any

from local.emulator import answers


def is_emulator(endpoint_url: str | None) -> bool:
    """Say whether MiniStack listens at this address."""
    return endpoint_url is not None and answers(f"{endpoint_url.rstrip('/')}/_ministack/health")


def for_emulator(template: dict[str, Any]) -> dict[str, Any]:
    """Return the template, changed so that it means to the emulator what it meant to AWS."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Api":
            # It reads them here only, AWS in the definition as well.
            types = properties["DefinitionBody"].get("x-amazon-apigateway-binary-media-types", [])
            properties["BinaryMediaTypes"] = types
        for policy in properties.get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            for statement in policy["PolicyDocument"]["Statement"]:
                mail = statement.get("Fn::If", [None, {}])[1]
                if "ses:SendEmail" in mail.get("Action", []):
                    # It knows neither the identity nor the sender of a mail: what AWS is told is tested in the template.
                    mail.pop("Condition", None)
                    mail["Resource"] = "*"
    return template
