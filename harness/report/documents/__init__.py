"""Make documents: what each kind of report says, in order."""
