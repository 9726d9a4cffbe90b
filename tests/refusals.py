"""What a refusal of a command looks like."""


def assert_refused(done, *words):
    """Exit status 1, nothing on standard output, one line that says what and how to go on."""
    assert done.status == 1
    assert done.out == ""
    (line,) = done.errors
    assert line.startswith("Error: ")
    for word in words:
        assert str(word) in line
    assert len(line) < 400 + len(str(words[0]))
