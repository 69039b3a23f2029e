"""The simulator behind other projects' interfaces: one module each, imported on its own."""
