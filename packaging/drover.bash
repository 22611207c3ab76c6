# bash completion of drover: commands and flags come from the executable's own table (`drover docs commands`), one line
# for each command: words, aliases separated by commas, flags.

_drover() {
	local current=${COMP_WORDS[COMP_CWORD]} typed='' i words aliases flags name rest
	local -A candidates=()

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-*) break ;;
		*) typed+="${typed:+ }${COMP_WORDS[i]}" ;;
		esac
	done
	COMPREPLY=()
	while IFS=$'\001' read -r words aliases flags; do
		while IFS= read -r -d, name; do
			if [[ $typed == "$name" || $typed == "$name "* ]] && [[ $current == -* ]]; then
				for rest in $flags; do candidates[$rest]=1; done
			elif [[ -z $typed || $name == "$typed "* ]]; then
				rest=${name#"$typed"}
				rest=${rest# }
				candidates[${rest%% *}]=1
			fi
		done <<<"$words,$aliases"
	done < <("${COMP_WORDS[0]}" docs commands 2>/dev/null | tr '\t' '\001')
	mapfile -t COMPREPLY < <(compgen -W "${!candidates[*]}" -- "$current")
	if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
		compopt -o nospace
	fi
}
complete -o default -F _drover drover
