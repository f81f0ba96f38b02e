"""What a sweep's report says, and the forms it is written in."""
