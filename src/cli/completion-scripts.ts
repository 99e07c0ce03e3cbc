/** One small script a shell: it hands the words over, and the command line answers what may come next. */

export const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# bash completion for berth
_berth() {
  local line=\${COMP_LINE:0:COMP_POINT} current prefix IFS=$' \\t\\n'
  # Not COMP_WORDS: that is cut at : and =, which names of images and values of flags have within.
  local -a words=($line)
  [[ $line == *[[:space:]] ]] && words+=("")
  current=\${words[-1]}
  IFS=$'\\n'
  COMPREPLY=($(berth completion words -- "\${words[@]:1}" 2>/dev/null))
  # What readline holds for the word begins after its last : or =.
  prefix=\${current%"\${current##*[:=]}"}
  COMPREPLY=("\${COMPREPLY[@]#"$prefix"}")
  [[ \${#COMPREPLY[@]} -eq 0 ]] && compopt -o default 2>/dev/null
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
