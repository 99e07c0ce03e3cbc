/** One small script a shell: it hands the words over, and the command line answers what may come next. */

export const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# bash completion for berth
_berth() {
  local IFS=$'\\n' current words
  # COMP_WORDS is cut at : and =, which names of images and values of flags have within.
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n := -c current -w words
  else
    current=\${COMP_WORDS[COMP_CWORD]} words=("\${COMP_WORDS[@]:0:COMP_CWORD+1}")
  fi
  COMPREPLY=($(berth completion words -- "\${words[@]:1}" 2>/dev/null))
  declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions "$current"
  [ "\${#COMPREPLY[@]}" -eq 0 ] && compopt -o default 2>/dev/null
  return 0
}
complete -F _berth berth
`,
  zsh: `#compdef berth
_berth() {
  local -a answers
  answers=("\${(@f)$(berth completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if (( \${#answers} )) && [[ -n "\${answers[1]}" ]]; then compadd -a answers; else _files; fi
}
compdef _berth berth
`,
  fish: `# fish completion for berth
function __berth_words
  set -l words (commandline -opc) (commandline -ct)
  berth completion words -- $words[2..-1] 2>/dev/null
end
complete -c berth -f -a '(__berth_words)'
`,
};
