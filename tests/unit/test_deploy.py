"""Files for deployment fit their schemas, and name settings, options and files that there are."""

import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tenantry.backends.pgvector import PgvectorOptions
from tenantry.settings import SECRETS_VARIABLE, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = ("1.31", "1.34")
NAMES = {f"TENANTRY_{name.upper()}" for name in Settings.model_fields} | {SECRETS_VARIABLE}
FILES = [path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".lock"]


def manifests():
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / "tenantry.yaml").read_text()))


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: one["kind"])
def test_manifests_fit_the_schemas_of_kubernetes(manifest, version):
    kubernetes_validate.validate(manifest, version, strict=True)


def test_a_wrong_manifest_would_be_found():
    wrong = manifests()[1]
    wrong["spec"]["replica"] = wrong["spec"].pop("replicas")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES[0], strict=True)


def test_compose_fits_its_schema():
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        DEPLOY / "compose.yaml",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_names_files_that_are_there():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), volume
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        image = service.get("image", "")
        assert re.search(r":[\w.-]+$", image), f"{image} has no version"
        assert not image.endswith(":latest")
    assert (DEPLOY / ".." / compose["services"]["gateway-1"]["build"]["dockerfile"]).resolve().is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_settings_that_there_are_are_named(path):
    text = path.read_text()
    assert set(re.findall(r"\bTENANTRY_[A-Z_]+\b", text)) <= NAMES
    if path.name.startswith("alerts") or path.parent.name == "dashboards":
        return  # metrics are called like that; tests/integration/test_alerts.py holds them to a scrape
    secret_files = set(re.findall(r"\b(tenantry_[a-z_]+)\b", text))
    assert {name.upper() for name in secret_files} <= NAMES
    assert set(re.findall(r"--option (\w+)=", text)) <= set(PgvectorOptions.__struct_fields__)


def test_the_image_has_the_versions_that_are_tested():
    def pins(path):
        return set(re.findall(r"^([a-z][\w.-]*==[\w.]+)", path.read_text(), re.MULTILINE))

    tested = pins(ROOT / "requirements.lock")
    assert pins(DEPLOY / "requirements.lock") <= tested
    assert set(re.findall(r"hatchling==[\w.]+", (DEPLOY / "Dockerfile").read_text())) <= tested


def test_secrets_come_from_files(tmp_path, monkeypatch):
    (tmp_path / "tenantry_catalog_url").write_text("postgresql://u:verysecret@h/d\n")
    (tmp_path / "tenantry_port").write_text("9000")
    monkeypatch.setenv(SECRETS_VARIABLE, str(tmp_path))
    monkeypatch.setenv("TENANTRY_PORT", "9001")
    settings = Settings()
    assert settings.catalog_url is not None
    assert settings.catalog_url.get_secret_value() == "postgresql://u:verysecret@h/d"
    assert settings.port == 9001  # the environment comes first
    assert "verysecret" not in repr(settings)
