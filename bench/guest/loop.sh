# A shell's own work: arithmetic, variables, patterns, functions, a subshell now and then.
count() {
    case $1 in
    *7*) sevens=$((sevens + 1)) ;;
    *[02468]) even=$((even + 1)) ;;
    *) odd=$((odd + 1)) ;;
    esac
}
i=0 sevens=0 even=0 odd=0 text=
while [ $i -lt 25000 ]; do
    count $i
    text=${text#?????}$i
    i=$((i + 1))
done
j=0
while [ $j -lt 100 ]; do
    text=$(printf '%s' "${text%?}")
    j=$((j + 1))
done
echo "$sevens $even $odd ${#text}"
