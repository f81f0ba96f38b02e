"""Makes a bare clone work: loads the plugin by the same name as an installed entry point does."""

pytest_plugins = ["harness.plugin"]
