/* filters_list.h: the filters that go through lists item by item; rows of the table in filters.c.
 */
#ifndef COMPUTE_TEMPLATE_FILTERS_LIST_H
#define COMPUTE_TEMPLATE_FILTERS_LIST_H

#include "compute/template/callable.h"

callable_fn filters_list_map;
callable_fn filters_list_select, filters_list_reject;
callable_fn filters_list_select_field, filters_list_reject_field;
callable_fn filters_list_sort, filters_list_sort_dict, filters_list_unique;
callable_fn filters_list_min, filters_list_max, filters_list_sum;
callable_fn filters_list_join;
callable_fn filters_list_first, filters_list_last, filters_list_reverse;
callable_fn filters_list_all, filters_list_pairs; /* `list`, `items` */

#endif
