# What every step of the fleet does, for edgebuild and for its peers: each output is the input with a word
# more. Builtins of the shell only, so that next to nothing is the step's own time.
# Usage: sh body.sh WORD INPUT OUTPUT...
word=$1
IFS= read -r line <"$2"
shift 2
for place; do
  case $place in *.tar.gz) printf '\037\213' >"$place" ;; *) : >"$place" ;; esac
  printf '%s %s %s"}\n' "${line%\"\}}" "$word" "${place##*/}" >>"$place"
done
