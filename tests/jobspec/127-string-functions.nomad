job "str" {
  datacenters = ["dc1"]
  meta {
    chomp      = chomp("x\r\n\n")
    format     = format("%s-%03d-%5.1f-%t-%q-%x-%v", "a", 7, 2.25, true, "q\"", 255, [1, "x"])
    format2    = format("%[2]s %[1]s|%-5s|%5s|%+d|%e|%g|%%", "a", "b", "c", 4, 1234.5, 0.00001)
    format3    = format("%v %v %v %v", 1000000, 0.1, null, { a = 1 })
    formatlist = join(";", formatlist("%s=%d", ["a", "b"], [1, 2]))
    formatrep  = join(";", formatlist("%s-%s", ["a", "b"], "x"))
    indent     = indent(2, "a\nb\nc")
    join       = join("-", ["a", 1, true], ["b"])
    lower      = lower("ÄBC")
    upper      = upper("straße äöü")
    title      = title("hello wide-world o'clock a_b")
    regex      = regex_replace("abc-123", "([a-z]+)-(\\d+)", "$2-$1")
    regex2     = regex_replace("a.b.c", "\\.", "/")
    regex3     = regex_replace("xx", "x", "$${0}y")
    replace    = replace("a-b-c", "-", "+")
    replace2   = replace("abc", "", ".")
    split      = join("|", split(",", "a,b,,c"))
    strlen     = "${strlen("äé")}${strlen("👩‍👩‍👧")}${strlen("e\u0301")}"
    strrev     = strrev("añb")
    substr     = "${substr("hello", 1, 3)}|${substr("hello", -3, -1)}|${substr("hello", 0, 99)}|${substr("héllo", 1, 1)}"
    trim       = "${trim("xxaxx", "x")}|${trimprefix("foobar", "foo")}|${trimsuffix("foobar", "bar")}|${trimspace("\t a \n")}"
  }
}
