package Bugzilla::Constants;

use 5.14.0;
use strict;
use warnings;

use Exporter 'import';
use constant LOGIN_REQUIRED => 2;
our @EXPORT = qw(LOGIN_REQUIRED);

1;
