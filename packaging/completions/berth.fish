# Completion for berth in fish. To install: copy to /usr/share/fish/vendor_completions.d/. The command itself knows its words.
berth completion fish 2>/dev/null | source
