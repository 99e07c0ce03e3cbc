# Completion for berth in bash. To install: copy to /usr/share/bash-completion/completions/berth, where it is read at
# the first tab. The command itself knows its words, so that this file never grows old.
eval "$(berth completion bash 2>/dev/null)"
