"""Settings of the jobs: what their YAML job files may say."""
