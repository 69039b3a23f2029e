"""Social mechanisms: auxiliary losses and reward terms, one mechanism a file."""
