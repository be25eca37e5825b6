#!/bin/bash
low=1 high=1000
while true; do
    guess=$(((low + high) / 2))
    echo $guess
    read -r reply
    case $reply in
    correct) exit 0 ;;
    lower) high=$((guess - 1)) ;;
    *) low=$((guess + 1)) ;;
    esac
done
