job "files" {
  datacenters = ["dc1"]
  meta {
    base   = basename("/a/b/c.txt")
    dir    = dirname("/a/b/c.txt")
    exists = fileexists("tests/jobspec/117-a.hcl")
    not    = fileexists("tests/jobspec/no-such-file")
    text   = trimspace(file("tests/jobspec/117-b.json"))
    b64    = filebase64("tests/jobspec/117-b.json")
    set    = join(",", fileset("tests/jobspec", "117-*"))
    abs    = abspath("/a/../b/./c")
  }
}
