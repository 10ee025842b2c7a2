package workflow

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxNumberLength bounds the digits of a number, written without an exponent.
const maxNumberLength = 400

// numberFault says in a few words why a number cannot be kept exactly, "" where it can.
func numberFault(n *node) string {
	if !n.isLiteral() {
		return fmt.Sprintf("%s is not a number as JSON writes it (decimal, without leading zeros); write it so, or in quotes where text is meant", n.found())
	}
	value, err := strconv.ParseFloat(n.text, 64)
	if err != nil || math.IsInf(value, 0) || len(n.text) > maxNumberLength || abs(exponent(n.text)) > maxNumberLength {
		return fmt.Sprintf("%s has more digits than can be kept; write it in quotes", n.found())
	}
	return ""
}

func exponent(number string) int {
	_, text, found := cutExponent(number)
	if !found {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return math.MaxInt32
	}
	return n
}

func cutExponent(number string) (mantissa, exponent string, found bool) {
	i := strings.IndexAny(number, "eE")
	if i < 0 {
		return number, "", false
	}
	return number[:i], number[i+1:], true
}

// plainNumber writes a JSON number without an exponent and without a negative zero, as PostgreSQL's jsonb does.
// Zeros after the point stay: 1.50e1 is 15.0.
func plainNumber(number string) string {
	mantissa, _, _ := cutExponent(number)
	digits, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	if shift := exponent(number); shift >= 0 {
		fraction += strings.Repeat("0", max(0, shift-len(fraction)))
		whole, fraction = whole+fraction[:shift], fraction[shift:]
	} else {
		whole = strings.Repeat("0", max(0, -shift-len(whole)+1)) + whole
		cut := len(whole) + shift
		whole, fraction = whole[:cut], whole[cut:]+fraction
	}
	whole = strings.TrimLeft(whole, "0")
	zero := whole == "" && strings.Trim(fraction, "0") == ""
	if whole == "" {
		whole = "0"
	}
	if negative && !zero {
		whole = "-" + whole
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

func abs(n int) int {
	return max(n, -n)
}
