"""Rows of parts, as `figure` in lib.sh prints them, become lines of the table, each as soon as it is there; other lines pass."""
import signal
import sys

FORM = "%-50s %18s %-12s %-4s %-8s %s"


def short(text):
    try:
        x = float(text)
    except ValueError:
        return text
    return "%.0f" % x if abs(x) >= 100 else "%.2f" % x if abs(x) >= 1 else "%.3g" % x


def is_met(value, aim):
    order, bound = aim.split()
    return float(value) <= float(bound) if order == "<=" else float(value) >= float(bound)


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # until the parts have ended, too
    judged = met = 0
    print(FORM % ("FIGURE", "VALUE", "AIM", "MET", "RATIO", "TO WHAT; CONDITIONS"), flush=True)
    for line in sys.stdin:
        fields = line.rstrip("\n").split("\t")
        if len(fields) != 7:
            print(line, end="", flush=True)
            continue
        name, value, unit, aim, beside, floor, conditions = fields
        verdict = ratio = ""
        if aim:
            judged += 1
            met += is_met(value, aim)
            verdict = "yes" if is_met(value, aim) else "NO"
        if beside and float(beside) > 0:
            ratio = "%.2f" % (float(value) / float(beside))
            conditions = "%s: %s %s%s" % (floor, short(beside), unit, conditions and "; " + conditions)
        print((FORM % (name, "%s %s" % (short(value), unit), aim, verdict, ratio, conditions)).rstrip(), flush=True)
    print("%d of %d aims are met" % (met, judged))


main()
