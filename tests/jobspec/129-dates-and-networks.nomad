job "dates" {
  datacenters = ["dc1"]
  meta {
    iso    = formatdate("YYYY-MM-DD'T'hh:mm:ssZ", "2021-06-15T09:05:03Z")
    human  = formatdate("EEEE, D MMMM YYYY 'at' H:mm AA", "2021-06-05T13:05:03Z")
    short  = formatdate("EEE DD.MM.YY h:m:s aa ZZZ", "2021-01-02T03:04:05+02:00")
    zones  = formatdate("Z ZZZZ ZZZZZ", "2021-01-02T03:04:05-05:30")
    utc    = formatdate("Z ZZZ ZZZZ ZZZZZ", "2021-01-02T03:04:05Z")
    quote  = formatdate("hh 'o''clock' ''", "2021-01-02T03:04:05Z")
    midday = formatdate("HH aa", "2021-01-02T12:00:00Z")
    midn   = formatdate("HH aa", "2021-01-02T00:00:00Z")
    add    = timeadd("2021-12-31T23:59:59Z", "1s")
    sub    = timeadd("2021-03-01T00:00:00+01:00", "-24h")
    host   = cidrhost("10.12.127.0/20", 16)
    last   = cidrhost("10.0.0.0/24", -2)
    v6     = cidrhost("fd00:fd12:3456:7890::/64", 34)
    mask   = cidrnetmask("172.16.0.0/12")
    subnet = cidrsubnet("172.16.0.0/12", 4, 2)
    sub6   = cidrsubnet("fd00:fd12:3456:7800::/56", 8, 34)
    many   = join(" ", cidrsubnets("10.1.0.0/16", 4, 4, 8, 4))
  }
}
