locals {
  x = "val"
  l = ["a", "b"]
  m = { k2 = "v2", k1 = "v1" }
  t = true
}
job "t" {
  datacenters = ["dc1"]
  meta {
    plain    = "a ${local.x} b"
    joined   = "${local.x}${local.x}"
    only     = "${local.x}"
    number   = "${1}"
    nested   = "o ${"i ${"d ${local.x}"}"}"
    cond     = "%{ if local.t }yes%{ else }no%{ endif }"
    without  = "[%{ if !local.t }x%{ endif }]"
    loop     = "%{ for v in local.l }<${v}>%{ endfor }"
    pairs    = "%{ for k, v in local.m }${k}=${v};%{ endfor }"
    index    = "%{ for i, v in local.l }${i}${v}%{ endfor }"
    trims    = "a   ${~ local.x ~}   b"
    left     = "a   ${~ local.x }   b"
    right    = "a   ${ local.x ~}   b"
    dirtrim  = "a %{ if true ~}   b   %{~ endif } c"
    twice    = "%{ if true }%{ if false }1%{ else }2%{ endif }%{ endif }"
    escape   = "$${x} %%{y} $$${local.x} $ % $$ %%"
    chars    = "q\" b\\ n\n t\t r\r u\u00e9 U\U0001F680"
    call     = "${upper("in ${lower("QUOTES")}")}"
    object   = "${{ a = "x" }.a}"
    forexpr  = "${join(",", [for v in local.l : "${v}!"])}"
    iftern   = "${local.t ? "a" : "b"}"
    spaces   = "${    local.x    }"
    comment  = "${local.x /* c */}"
    empty    = "a${""}b"
    bools    = "${local.t}!"
  }
}
