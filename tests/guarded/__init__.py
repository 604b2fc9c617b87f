"""An app of fenced and versioned models, installed by the tests that need it."""
